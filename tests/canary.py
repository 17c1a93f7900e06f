"""Canaries: addresses that are like no other, and the search for them in everything that a machine keeps (O-53)."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from subscribers.db import Database


@dataclass(frozen=True)
class Canary:
    """Addresses that all hold one random word, in front of the sign and behind it."""

    word: str = field(default_factory=lambda: f"canary{secrets.token_hex(5)}")

    def address(self, name: str) -> str:
        """An address of this canary; the word is written in other letters too, as people type."""
        return f"{self.word.title()}.{name}@{self.word}.example.org"

    @property
    def spellings(self) -> Mapping[str, bytes]:
        """The word in each spelling that is looked for. `folded` ones are looked for in lower case."""
        plain = self.word.encode()
        folded = {
            "plain": plain,
            "reversed": plain[::-1],
            "hex": plain.hex().encode(),
            "reversed hex": plain[::-1].hex().encode(),
            "percent": b"".join(b"%%%02x" % octet for octet in plain),
            "quoted-printable": b"".join(b"=%02x" % octet for octet in plain),
            "escaped": b"".join(b"\\x%02x" % octet for octet in plain),
            "escaped for JSON": b"".join(b"\\u%04x" % octet for octet in plain),
            "utf-16": self.word.encode("utf-16-le"),
        }
        words = {self.word, self.word.title(), self.word.upper()}
        exact = {f"base64 of {word}, {shift}": _base64_inside(word, shift) for word in words for shift in range(3)}
        return {**{f"folded {name}": octets for name, octets in folded.items()}, **exact}

    def found_in(self, octets: bytes) -> set[str]:
        """The spellings in which the word is there."""
        lower = octets.lower()
        return {
            name
            for name, spelt in self.spellings.items()
            if (lower.find(spelt) if name.startswith("folded") else octets.find(spelt)) >= 0
        }

    def found_in_files(self, *places: Path, since: float = 0.0) -> dict[str, set[str]]:
        """In which files below the places the word is, of those written since that instant of the machine's clock."""
        return _only(
            (str(path), self.found_in(octets))
            for place in places
            for path in ([place] if place.is_file() else place.rglob("*"))
            if (octets := _octets_of(path, since))
        )

    def found_in_processes(self) -> dict[str, set[str]]:
        """In which processes' command line or environment the word is: what `ps` shows."""
        return _only(
            (str(path), self.found_in(octets))
            for folder in Path("/proc").glob("[0-9]*")
            for path in (folder / "cmdline", folder / "environ", folder / "comm")
            if (octets := _octets_of(path, 0.0))
        )

    def found_in_tables(self, database: Database) -> dict[str, set[str]]:
        """In which tables the word is, of every schema: the server may keep a long value compressed in its files."""
        found = list[tuple[str, set[str]]]()
        with database.engine.connect() as connection:
            for schema, table in _tables(sa.inspect(connection)):
                quoted = ".".join(f'"{part}"' for part in (schema, table) if part)
                for row in connection.exec_driver_sql(f"SELECT * FROM {quoted}"):
                    found.append((quoted, self.found_in(b"\n".join(_octets(value) for value in row))))
        return _only(found)


def _base64_inside(word: str, shift: int) -> bytes:
    """The part of a text's base64 that comes of the word alone, where so many octets of a group stand before it."""
    encoded = base64.b64encode(b"\0" * shift + word.encode())
    first = -(-shift * 8 // 6)
    return encoded[first : (shift + len(word)) * 8 // 6]


def _octets_of(path: Path, since: float) -> bytes:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_mtime < since:
            return b""
        return path.name.encode() + b"\n" + path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        # It went while we looked, or it is another account's.
        return b""


def _octets(value: object) -> bytes:
    return value if isinstance(value, bytes) else re.sub(r"\s+", " ", str(value)).encode()


def _tables(inspector: sa.Inspector) -> Iterator[tuple[str | None, str]]:
    for schema in inspector.get_schema_names():
        if schema not in ("information_schema", "pg_catalog"):
            for table in inspector.get_table_names(schema):
                yield (None if schema == "main" else schema), table


def _only(found: Iterator[tuple[str, set[str]]] | list[tuple[str, set[str]]]) -> dict[str, set[str]]:
    together: dict[str, set[str]] = {}
    for where, spellings in found:
        if spellings:
            together.setdefault(where, set()).update(spellings)
    return together
