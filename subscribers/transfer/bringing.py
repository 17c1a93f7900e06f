"""An import from its file to its end: read, understand, seal, land, a batch after the other."""

from __future__ import annotations

import datetime as dt
import fcntl
import gc
import json
import multiprocessing
import re
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from subscribers.characters import cleaned
from subscribers.db import Database
from subscribers.forms import BadAddress, mentions_address
from subscribers.lifecycle import Format
from subscribers.suppression import mailbox_hash_of
from subscribers.transfer.addresses import read_address
from subscribers.transfer.cells import is_yes, read_instant
from subscribers.transfer.header import Reading, open_reading
from subscribers.transfer.landing import BATCH, Fates, Landing, Person
from subscribers.transfer.plan import ENDED, Fate, Tally
from subscribers.transfer.rejects import Rejects
from subscribers.transfer.runs import Runs
from subscribers.transfer.sheet import BadSheet, Broken, Sheet, fits, open_sheet
from subscribers.transfer.systems import Entry, Standing
from subscribers.vault import SUBSCRIBER_ADDRESS, Keys, StoodStill, Vault

MOST_ROWS = 3_000_000
"""Rows of one file: which of them came before is remembered, some hundred octets each."""
LARGE = 4 * 1024**2
"""Octets of a file from which on a second process is worth its start."""
KEYS_AT_ONCE = 64
"""Data keys that a second process makes in one transaction."""
PIPE_SIZE = 1024**2
"""Octets that wait between the two; a batch has fewer."""
MOST_REASONS = 40
"""Kinds of bad rows that are told apart."""
NO_EVIDENCE = "nothing shows that they agreed; say where the consent comes from with --evidence"
UNKNOWN_WORD = "the system's word for where they stand is not one that we know"
_LONGEST_EVIDENCE = 2000
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")


class HelperEnded(Exception):
    """The process that reads a large file ended before the file did; the message is a sentence that says so."""


@dataclass(frozen=True)
class Request:
    """What is to be brought in."""

    path: Path
    newsletter: str
    language: str
    """Of those whose own is not in the file."""
    evidence: str = ""
    """The operator's sentence on why these people may be mailed."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Which column of the file is what (`systems.MAPPED`); empty where the file's system is to be recognised."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Columns and the value that rows must have in them; the others are passed by."""


@dataclass(frozen=True)
class _Bad:
    line: int
    reason: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Batch:
    """Some rows, and how far the file was read with them."""

    rows: Sequence[Person | _Bad]
    position: int
    passed: int


class Bringing:
    """One run over a file. `tally` says at every moment how far it came, also after an interruption."""

    def __init__(
        self, database: Database, vault: Vault, request: Request, now: dt.datetime, keys: Keys | None = None
    ) -> None:
        """With `keys`, a large file is read and sealed in a process of its own."""
        self.tally = Tally()
        self.system = ""
        """The name of the system that the file comes from, once it is known."""
        self.encoding, self.is_encoding_certain = "", True
        self.size = self.position = 0
        """Octets of the file, and of them read."""
        self._database = database
        self._vault = vault
        self._keys = keys
        self._request = request
        self._now = now
        self._landing = Landing(database, request.newsletter)
        self._seen: dict[bytes, Fate] = {}
        self._passed = 0
        self._index_of_nothing = vault.blind_index("")
        """Tells whether the index key is another by now."""

    @property
    def passed_by(self) -> int:
        """How many rows were not those that `only` asks for."""
        return self._passed

    def survey(self, on_batch: Callable[[], None] = lambda: None) -> Tally:
        """Find out what would happen. Nothing is written. Raises `BadSheet`, `HelperEnded`, `OSError`."""
        with open_sheet(self._request.path) as sheet:
            self._run(sheet, self.open(sheet), None, on_batch)
        return self.tally

    def bring(self, rejected: Path, on_batch: Callable[[], None] = lambda: None) -> Tally:
        """Take them in, a batch a transaction; rows that cannot be are written to `rejected`.

        Killed at any point and run again, it ends as if it had run once. Raises `BadSheet`, `HelperEnded`, `OSError`.
        """
        with open_sheet(self._request.path) as sheet:
            reading = self.open(sheet)
            with Rejects(rejected, reading.header) as rejects:
                self._run(sheet, reading, rejects, on_batch)
        return self.tally

    def open(self, sheet: Sheet) -> Reading:
        """Find out whose file it is. Raises `BadSheet`."""
        reading = open_reading(sheet, self._request.columns, self._request.only, self._now)
        self.system, self.size = reading.system.name, sheet.size
        self.encoding, self.is_encoding_certain = sheet.encoding, sheet.is_certain
        return reading

    def _run(self, sheet: Sheet, reading: Reading, rejects: Rejects | None, on_batch: Callable[[], None]) -> None:
        batches = self.batches(sheet, reading, is_sealed=rejects is not None)
        if self._keys and sheet.size >= LARGE:
            batches = ahead(self._database.url, self._keys, self._request, self._now, is_sealed=rejects is not None)
        with closing(batches):
            for batch in batches:
                self._settle(batch.rows, rejects)
                self.position, self._passed = batch.position, batch.passed
                on_batch()

    def batches(self, sheet: Sheet, reading: Reading, *, is_sealed: bool) -> Generator[Batch]:
        """The rows, understood and sealed, some at a time."""
        people, runs = self._people(reading, is_sealed=is_sealed), Runs()
        while rows := list(islice(people, BATCH)):
            others = [one for one in rows if isinstance(one, _Bad) or not one.address]
            stored = runs.exchange([one for one in rows if isinstance(one, Person) and one.address])
            yield Batch([*others, *self._seal(stored)], sheet.position, self._passed)
        for left in runs.rest():
            yield Batch(self._seal(left), sheet.position, self._passed)

    def _seal(self, people: list[Person]) -> list[Person]:
        """Seal their addresses, here rather than where they are stored, so that the transaction is short."""
        for one in people:
            one.sealed = self._sealed(one.address, one.public_id)
        # They have waited since they were hashed. If the keys were rotated meanwhile, what is sealed with the new ones
        # now is taken for done by the rotation, and never indexed anew.
        if self._vault.blind_index("") != self._index_of_nothing:
            for one in people:
                address = read_address(one.address)
                assert not isinstance(address, BadAddress)  # noqa: S101 -- it was one when it was read.
                one.blind_index = self._vault.blind_index(address.identity)
        return people

    def _people(self, reading: Reading, *, is_sealed: bool) -> Iterator[Person | _Bad]:
        """The rows as people, whose addresses are not sealed yet. Raises `BadSheet`."""
        for count, row in enumerate(reading.rows()):
            if count >= MOST_ROWS:
                raise BadSheet(f"The file has more than {MOST_ROWS:,} rows; split it. What is in so far stays.")
            if isinstance(row, Broken):
                yield _Bad(row.line, row.reason, row.cells)
                continue
            line, cells = row
            if not fits(cells, len(reading.header)) and reading.has_header:
                reason = f"the row has {len(cells)} cells where the header has {len(reading.header)}"
                yield _Bad(line, reason, cells)
            elif reading.is_asked_for(cells):
                yield self._person(line, cells, reading.interpret(cells), is_sealed=is_sealed)
            else:
                self._passed += 1

    def _person(self, line: int, cells: Sequence[str], entry: Entry, *, is_sealed: bool) -> Person | _Bad:
        address = read_address(entry.address)
        if isinstance(address, BadAddress):
            return _Bad(line, address.reason, cells)
        if entry.standing is None:
            return _Bad(line, f"{UNKNOWN_WORD}: {entry.unknown or 'none'}", cells)
        is_shown = entry.is_proven or bool(self._request.evidence)
        is_stored, now = is_sealed and is_shown and entry.standing is Standing.READER, self._now
        person = Person(
            line=line,
            cells=() if is_shown else cells,
            standing=entry.standing,
            is_shown=is_shown,
            blind_index=self._vault.blind_index(address.identity),
            suppression_hash=self._vault.suppression_hash(address.identity),
            mailbox_hash=mailbox_hash_of(self._vault, address) if entry.standing is Standing.COMPLAINED else None,
            public_id=b"",
            address=address.delivery if is_stored else "",
            sealed=b"",
            asked_at=entry.asked_at or entry.confirmed_at or now,
            confirmed_at=entry.confirmed_at or entry.asked_at or now,
            ended_at=entry.ended_at,
            evidence=self._evidence(entry) if is_stored else "",
            language=self._request.language,
        )
        if entry.own:
            _add_choices(person, entry.own, now)
        return person

    def _sealed(self, address: str, public_id: bytes) -> bytes:
        # Asked for every one of them: no data key is to be that of more people than of whom a thief may learn at once.
        self._vault.prepare()
        return self._vault.seal(address, SUBSCRIBER_ADDRESS, public_id)

    def _evidence(self, entry: Entry) -> str:
        """What is kept of why they may be mailed (O-50); of our own export, what it says itself."""
        if entry.own and (own := _kept_evidence(entry.own["evidence"])):
            return own
        asked, confirmed, said = entry.asked_at, entry.confirmed_at, self._request.evidence
        found = (
            f'"from": {_quoted(self.system)}' if self.system else "",
            f'"asked": "{asked.isoformat()}"' if asked else "",
            f'"confirmed": "{confirmed.isoformat()}"' if confirmed else "",
            f'"source": {_quoted(entry.source)}' if entry.source else "",
            f'"said": {_quoted(said)}' if said else "",
        )
        return f"{{{', '.join(filter(None, found))}}}"

    def _settle(self, batch: Sequence[Person | _Bad], rejects: Rejects | None) -> None:
        """Decide on a batch, do it where it is to be done, and count it."""
        undecided: dict[bytes, Person] = {}
        for one in batch:
            if isinstance(one, _Bad):
                self._count_bad(one.line, one.reason, one.cells, rejects)
            else:
                self._take(one, undecided, rejects)
        people = list(undecided.values())
        fates: Fates = {}
        if people:
            fates = self._land(people) if rejects else self._landing.survey(people)
        for key, fate in fates.items():
            self._count(key, fate)

    def _land(self, people: Sequence[Person]) -> Fates:
        """Take them in, sealed anew where keys were rotated while this stood still. Raises `vault.StoodStill`."""
        try:
            return self._landing.land(people, self._now)
        except StoodStill:
            self._vault.prepare(0)
        self._seal([one for one in people if one.sealed])
        return self._landing.land(people, self._now)

    def _take(self, person: Person, undecided: dict[bytes, Person], rejects: Rejects | None) -> None:
        """Sort a person in: known by an earlier row, decided by the file alone, or to be looked up here."""
        key, weight = person.blind_index, _WEIGHTS[_by_the_file(person)]
        other = undecided.get(key)
        if other:
            self.tally.fates[Fate.REPEATED] += 1
            if weight > _WEIGHTS[_by_the_file(other)]:
                undecided[key] = person
        elif (seen := self._seen.get(key)) and _WEIGHTS[seen] >= weight:
            self.tally.fates[Fate.REPEATED] += 1
        elif (fate := _by_the_file(person)) in _NEEDS_NO_LOOK:
            self._count(key, fate)
            if fate is Fate.UNPROVEN:
                self.tally.add_bad(person.line, NO_EVIDENCE)
                if rejects:
                    rejects.add(person.line, NO_EVIDENCE, person.cells)
        else:
            undecided[key] = person

    def _count(self, key: bytes, fate: Fate) -> None:
        """Count what became of somebody; what an earlier row of theirs came to counts for nothing then."""
        before = self._seen.get(key)
        if before:
            self.tally.fates[before] -= 1
            self.tally.fates[Fate.REPEATED] += 1
        self._seen[key] = fate
        self.tally.fates[fate] += 1

    def _count_bad(self, line: int, reason: str, cells: Sequence[str], rejects: Rejects | None) -> None:
        self.tally.fates[Fate.BAD] += 1
        is_new = reason not in self.tally.bad_counts
        self.tally.add_bad(line, "something else" if is_new and len(self.tally.bad_counts) >= MOST_REASONS else reason)
        if rejects:
            rejects.add(line, reason, cells)


_NEEDS_NO_LOOK = frozenset({Fate.UNCONFIRMED, Fate.OTHER, Fate.UNPROVEN})
_WEIGHTS = {
    fate: weight
    for weight, fates in enumerate(
        (
            (Fate.OTHER,),
            (Fate.UNCONFIRMED,),
            (Fate.UNPROVEN,),
            (Fate.NEW, Fate.WAITED, Fate.ALREADY, Fate.LEFT_HERE, Fate.SUPPRESSED_HERE, Fate.STAYS),
            (Fate.BOUNCED,),
            (Fate.LEFT,),
            (Fate.COMPLAINED,),
        )
    )
    for fate in fates
}
"""Of two rows about one person the heavier counts: whoever has left one list of two has left."""


@lru_cache
def _quoted(text: str) -> str:
    """A text in JSON. Those of a list are few, and the encoder takes its time with each row."""
    return json.dumps(text, ensure_ascii=False)


def _by_the_file(person: Person) -> Fate:
    """What a row comes to as far as the file alone can tell."""
    if person.standing in ENDED:
        return ENDED[person.standing]
    if person.standing is Standing.READER:
        return Fate.NEW if person.is_shown else Fate.UNPROVEN
    return Fate.UNCONFIRMED if person.standing is Standing.UNCONFIRMED else Fate.OTHER


def _kept_evidence(text: str) -> str:
    """The evidence of our own export, in one line, if it is what we would have written."""
    text = cleaned(text)
    return text if len(text) <= _LONGEST_EVIDENCE and not mentions_address(text) else ""


def _add_choices(person: Person, own: Mapping[str, str], now: dt.datetime) -> None:
    """What a reader had chosen, as our own export has it."""
    if own["format"] in set(Format):
        person.format = Format(own["format"])
    if _LANGUAGE.fullmatch(own["language"]):
        person.language = own["language"]
    person.is_neutral = is_yes(own["neutral_subject"])
    if own["paused_until"]:
        person.paused_until = read_instant(own["paused_until"], now + dt.timedelta(days=3660))


def ahead(url: sa.URL, keys: Keys, request: Request, now: dt.datetime, *, is_sealed: bool) -> Generator[Batch]:
    """The batches of a file, made by a process of its own, so that a second core takes half of the work.

    Not by a thread: both halves hold the interpreter's lock, and measured slower together than one after the other.
    Raises what reading raises, and `HelperEnded`.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    _widen(theirs)
    # It only seals, so it is not given what opens.
    arguments = (
        theirs,
        url.render_as_string(hide_password=False),
        replace(keys, private=None),
        request,
        now,
        is_sealed,
    )
    process = context.Process(target=_read_ahead, args=arguments, daemon=True)
    process.start()
    theirs.close()
    try:
        while (batch := _receive(ours)) is not None:
            yield batch
    finally:
        process.terminate()
        process.join()
        ours.close()


def _widen(pipe: Connection[Any]) -> None:
    """Give a pipe room for a whole batch, where the system has a way: its writer need not wait for the reader then."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def _receive(pipe: Connection[Batch | Exception | None]) -> Batch | None:
    try:
        received: Batch | Exception | None = pipe.recv()
    except EOFError:
        raise HelperEnded(
            "The second process, which reads a large file ahead, ended too early: the machine may be short of memory. "
            "What is in stays in; run the same command again."
        ) from None
    if isinstance(received, Exception):
        raise received
    return received


def _read_ahead(
    pipe: Connection[Batch | Exception | None],
    url: str,
    keys: Keys,
    request: Request,
    now: dt.datetime,
    is_sealed: bool,
) -> None:
    # Ctrl-C reaches both; the one that writes ends, and this one with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Tens of thousands of rows are held at any time, and none of them in a circle: to look for some is lost time.
    gc.set_threshold(100_000, 50, 100)
    database = Database(url)
    try:
        # Each of these transactions waits for the other process's.
        run = Bringing(database, Vault(database, keys, keys_at_once=KEYS_AT_ONCE), request, now)
        with open_sheet(request.path) as sheet:
            for batch in run.batches(sheet, run.open(sheet), is_sealed=is_sealed):
                pipe.send(batch)
        pipe.send(None)
    except (BadSheet, OSError) as error:
        pipe.send(error)
    finally:
        database.close()
