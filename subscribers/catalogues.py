"""Keeps the catalogues of the pages' words complete: `python -m subscribers.catalogues`, or `make words`.

What templates and code say is collected, and each catalogue gets what it lacks, still empty, for a translator. With a
language's tag (`make words LANG=de`) a new one is begun. Reads and writes the repository, for whoever works on it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import write_po

from subscribers.languages import FOLDER, is_said, read_catalogue, tongue

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = Path("templates", "web")
SPOKEN = ("base.html", "public/*.html", "archive/*.html")
"""The templates that readers see; the desk is in English."""
CODE = ("subscribers", "digest/web")
_JINJA = {
    "trimmed": "true",
    "newstyle_gettext": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "silent": "false",
}
_WORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}
HEADER = """\
# The words of the readers' pages. Leave what stands in %(…)s and in <…> as it is; a per cent sign is written %%.
# `make words` adds what a catalogue lacks.
msgid ""
msgstr ""
"Language: {}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: {}\\n"

"""


def collect(root: Path = ROOT) -> Catalog:
    """Everything that the readers' pages say, in English, in the order in which it stands there."""
    catalogue = Catalog(fuzzy=False)
    for path in _templates(root):
        with path.open("rb") as file:
            for _, message, _, context in extract("jinja2.ext:babel_extract", file, _WORDS, (), _JINJA):
                catalogue.add(message, locations=[(_name(path, root), 0)], context=context)
    for path in _modules(root):
        with path.open("rb") as file:
            for _, message, _, _ in extract("python", file, {"mark": None}):
                catalogue.add(message, locations=[(_name(path, root), 0)])
    return catalogue


def complete(path: Path, said: Catalog) -> int:
    """Bring a catalogue up to date with what is said, or begin it; returns how many messages wait for a translator.

    Raises `subscribers.languages.BadCatalogue`.
    """
    begun = read_catalogue(path) if path.exists() else Catalog(locale=path.stem.replace("-", "_"), fuzzy=False)
    begun.update(said, no_fuzzy_matching=True, update_creation_date=False)
    begun.obsolete.clear()
    with path.open("wb") as file:
        file.write(HEADER.format(path.stem, begun.plural_forms).encode())
        write_po(file, begun, width=120, include_lineno=False, omit_header=True)
    return sum(1 for message in begun if message.id and not is_said(message))


def main(tags: list[str]) -> None:
    """Complete every catalogue, and begin those of the tags."""
    folder = ROOT / TEMPLATES / FOLDER
    said = collect()
    for tag in tags:
        tongue(tag)
    for path in sorted({*folder.glob("*.po"), *(folder / f"{tag}.po" for tag in tags)}):
        sys.stdout.write(f"{path.relative_to(ROOT)}: {complete(path, said)} of {len(said)} wait for words\n")


def _templates(root: Path) -> Iterator[Path]:
    for pattern in SPOKEN:
        yield from sorted((root / TEMPLATES).glob(pattern))


def _modules(root: Path) -> Iterator[Path]:
    for folder in CODE:
        yield from sorted((root / folder).rglob("*.py"))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


if __name__ == "__main__":
    main(sys.argv[1:])
