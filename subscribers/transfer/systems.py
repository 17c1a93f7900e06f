"""What eight systems call their columns, and what they mean by them (issue 4, point 9). Pure.

The names are those of the systems' own exports: Mailchimp's audience export, Substack's `email_list`, Ghost's members
export, Buttondown's subscribers, listmonk's `subscribers.csv`, MailPoet's export, phpList's export, Mailman's member
lists (`mailman members`, `list_members -f`, Postorius' CSV, which have no header).
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from subscribers.characters import cleaned
from subscribers.forms import mentions_address
from subscribers.transfer.cells import is_yes, read_instant, unescaped

Cell = Callable[[str], str]
"""A row's cell by its column's name in lower case; empty where the file has no such column."""


class Standing(enum.Enum):
    """Where somebody stands with the system that they come from. What is further down outweighs what is above."""

    OTHER = enum.auto()
    """Not a reader there: an owner of the list, a shopper, somebody held back as spam."""
    UNCONFIRMED = enum.auto()
    READER = enum.auto()
    BOUNCED = enum.auto()
    LEFT = enum.auto()
    COMPLAINED = enum.auto()


class Entry(NamedTuple):
    """A row, understood."""

    address: str
    standing: Standing | None
    """None where the system says something that we do not know."""
    is_proven: bool
    """Whether the export itself shows that they agreed."""
    asked_at: dt.datetime | None
    confirmed_at: dt.datetime | None
    ended_at: dt.datetime | None
    source: str
    """Where they signed up, if it says so in words that name nobody."""
    own: Mapping[str, str] | None = None
    """The cells of a row of our own export, which knows more."""
    unknown: str = ""
    """The system's word for where they stand, where it is one that we do not know."""


_WORDS = {
    **dict.fromkeys(
        ("subscribed", "active", "enabled", "confirmed", "regular", "premium", "trialed", "gifted", "unpaid"),
        Standing.READER,
    ),
    # Those who pay or paid are readers all the same; MailPoet's inactive ones open nothing, which says little.
    **dict.fromkeys(("churning", "churned", "past_due", "paused", "inactive", "upcoming"), Standing.READER),
    **dict.fromkeys(("unconfirmed", "pending", "unactivated", "not confirmed"), Standing.UNCONFIRMED),
    **dict.fromkeys(
        ("nonsubscribed", "transactional", "spammy", "malformed", "throttled", "disabled", "blocked"), Standing.OTHER
    ),
    **dict.fromkeys(("bounced", "cleaned", "undeliverable", "hard bounced", "hard bounce"), Standing.BOUNCED),
    **dict.fromkeys(("unsubscribed", "left", "removed", "opted out", "blocklisted"), Standing.LEFT),
    **dict.fromkeys(("blacklisted", "suppressed"), Standing.LEFT),
    **dict.fromkeys(("complained", "complaint", "abuse", "spam"), Standing.COMPLAINED),
}
"""What systems call it."""


KNOWN_WORDS = tuple(sorted(_WORDS))


def word(text: str) -> Standing | None:
    """What a status in words means; none for one that we do not know."""
    return _WORDS.get(text.casefold())


def _mailchimp(cell: Cell) -> Standing | None:
    # The readers, the unsubscribed and the cleaned are three files, told apart by their last columns.
    if cell("clean_time"):
        return Standing.BOUNCED
    if cell("unsub_time"):
        reason = cell("unsub_reason").casefold()
        return Standing.COMPLAINED if "spam" in reason or "abuse" in reason else Standing.LEFT
    return Standing.READER if cell("confirm_time") else Standing.UNCONFIRMED


def _substack(cell: Cell) -> Standing | None:
    return Standing.LEFT if is_yes(cell("email_disabled")) else Standing.READER


def _ghost(cell: Cell) -> Standing | None:
    is_reader = is_yes(cell("subscribed_to_emails")) and not cell("deleted_at")
    return Standing.READER if is_reader else Standing.LEFT


def _buttondown(cell: Cell) -> Standing | None:
    if cell("undeliverability_date"):
        return Standing.BOUNCED
    return word(cell("type") or cell("subscriber_type"))


def _listmonk(cell: Cell) -> Standing | None:
    return word(cell("status"))


def _mailpoet(cell: Cell) -> Standing | None:
    # The list's own status says more, unless the person is gone from everywhere.
    everywhere, here = word(cell("global status")), word(cell("list status") or cell("global status"))
    if not cell("global status"):
        return here
    if everywhere is None or here is None:
        return None
    return max(everywhere, here, key=_gravity)


def _phplist(cell: Cell) -> Standing | None:
    if is_yes(cell("is this subscriber blacklisted")):
        return Standing.LEFT
    if is_yes(cell("is this account disabled?")):
        return Standing.OTHER
    return Standing.READER if is_yes(cell("is this subscriber confirmed")) else Standing.UNCONFIRMED


def _gravity(standing: Standing) -> int:
    """How graver outweighs lighter; not having confirmed outweighs being a reader."""
    return -1 if standing is Standing.READER else standing.value


def _by_status(cell: Cell) -> Standing | None:
    return word(cell("status"))


def _reader(_: Cell) -> Standing | None:
    return Standing.READER


def _dated(_: Cell) -> bool:
    return True


def _never(_: Cell) -> bool:
    return False


def _by_themselves(cell: Cell) -> bool:
    return is_yes(cell("did this subscriber manually confirm"))


@dataclass(frozen=True)
class System:
    """A system and its columns, by their names in lower case."""

    name: str
    needs: tuple[frozenset[str], ...]
    """Sets of columns; a file that has all of one set is this system's."""
    standing: Callable[[Cell], Standing | None]
    email: tuple[str, ...] = ("email",)
    asked: str = ""
    confirmed: str = ""
    ended: tuple[str, ...] = ()
    source: str = ""
    proves: Callable[[Cell], bool] = _dated
    """Whether an instant in this system's row shows consent."""
    is_escaped: bool = False
    """Whether it puts an apostrophe before what a spreadsheet would take for a formula."""
    backslash: bool = False
    is_own: bool = False

    def knows(self, names: frozenset[str]) -> bool:
        """Whether a file with these columns is this system's."""
        return any(needed <= names for needed in self.needs)


OWN_COLUMNS = (
    "email",
    "status",
    "subscribed_at",
    "confirmed_at",
    "language",
    "format",
    "neutral_subject",
    "paused_until",
    "method",
    "evidence",
)

SYSTEMS = (
    System(
        "Watchdog Digest",
        (frozenset(OWN_COLUMNS),),
        _by_status,
        asked="subscribed_at",
        confirmed="confirmed_at",
        is_escaped=True,
        is_own=True,
    ),
    System(
        "MailPoet",
        (frozenset({"email", "global status"}), frozenset({"email", "list status"})),
        _mailpoet,
        asked="subscription time",
        confirmed="confirmation time",
        is_escaped=True,
        backslash=True,
    ),
    System(
        "phpList",
        (frozenset({"email", "is this subscriber confirmed", "is this subscriber blacklisted"}),),
        _phplist,
        asked="entered",
        proves=_by_themselves,
    ),
    System(
        "Mailchimp",
        (frozenset({"email address", "optin_time", "confirm_time"}),),
        _mailchimp,
        email=("email address",),
        asked="optin_time",
        confirmed="confirm_time",
        ended=("unsub_time", "clean_time"),
        source="source",
    ),
    System(
        "Substack",
        (frozenset({"email", "active_subscription", "email_disabled"}),),
        _substack,
        asked="created_at",
    ),
    System(
        "Ghost",
        (frozenset({"email", "subscribed_to_emails"}),),
        _ghost,
        asked="created_at",
        ended=("deleted_at",),
        is_escaped=True,
    ),
    # Its export says nothing of whether somebody confirmed: what is "enabled" there may never have.
    System("listmonk", (frozenset({"uuid", "email", "status", "created_at"}),), _listmonk, proves=_never),
    System(
        "Buttondown",
        tuple(
            frozenset({email, kind, "creation_date"})
            for email in ("email", "email_address")
            for kind in ("type", "subscriber_type")
        ),
        _buttondown,
        email=("email_address", "email"),
        asked="creation_date",
        ended=("unsubscription_date", "undeliverability_date"),
        source="source",
    ),
)
MAILMAN = System("Mailman", (), _reader, email=("email",), proves=_never)
"""Lines with an address, or a name and an address in angle brackets."""

MAPPED = ("email", "status", "subscribed_at", "confirmed_at", "left_at", "source")
"""What a column of any other file can be told to be."""


def mapped(has_status: bool) -> System:
    """The system of a file whose columns the operator named; its columns are called as in `MAPPED`."""
    return System(
        "by your columns",
        (),
        _by_status if has_status else _reader,
        asked="subscribed_at",
        confirmed="confirmed_at",
        ended=("left_at",),
        source="source",
    )


def recognise(header: Sequence[str]) -> System | None:
    """The system whose export has such a header."""
    names = frozenset(normal(name) for name in header)
    return next((system for system in SYSTEMS if system.knows(names)), None)


def normal(name: str) -> str:
    """A column's name as it is compared."""
    return name.strip().casefold()


_BRACKETS = re.compile(r"<([^<>]*)>\s*\Z")
_LONGEST_SOURCE = 100
_LONGEST_WORD = 30
_NETWORK = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,}", re.IGNORECASE)
"""A network address, which is not kept of anybody (O-50)."""


class Interpreter:
    """Understands the rows of one file."""

    def __init__(self, system: System, columns: Mapping[str, int], now: dt.datetime) -> None:
        self._system = system
        self._columns = columns
        self._now = now
        self._email = next(columns[name] for name in system.email if name in columns)
        self._sources: dict[str, str] = {}

    def __call__(self, row: Sequence[str]) -> Entry:
        """What a row says; it has as many cells as the header at least."""
        system, columns = self._system, self._columns

        def cell(name: str) -> str:
            place = columns.get(name)
            return "" if place is None else row[place].strip()

        asked, confirmed = self._instant(cell(system.asked)), self._instant(cell(system.confirmed))
        ended, standing = None, system.standing(cell)
        for name in system.ended:
            ended = ended or self._instant(cell(name))
        return Entry(
            address=self._address(row[self._email]),
            standing=standing,
            is_proven=bool(asked or confirmed) and system.proves(cell),
            asked_at=asked,
            confirmed_at=confirmed,
            ended_at=ended,
            source=self._source(cell(system.source)),
            unknown=_unknown(cell) if standing is None else "",
            own={name: unescaped(cell(name)) for name in OWN_COLUMNS} if system.is_own else None,
        )

    def _instant(self, text: str) -> dt.datetime | None:
        return read_instant(text, self._now) if text else None

    def _address(self, text: str) -> str:
        if self._system is MAILMAN and (match := _BRACKETS.search(text)):
            return match[1]
        return unescaped(text) if self._system.is_escaped else text

    def _source(self, text: str) -> str:
        if not text:
            return ""
        if text not in self._sources:
            if len(self._sources) > 1000:  # noqa: PLR2004 -- a list of readers has few sources; this one is no source.
                return ""
            source = cleaned(text)
            is_fit = len(source) <= _LONGEST_SOURCE and not _names_somebody(source)
            self._sources[text] = source if is_fit else ""
        return self._sources[text]


def _unknown(cell: Cell) -> str:
    """The first word in a row for where somebody stands that we do not know, as far as it can be shown."""
    texts = (cleaned(cell(name)) for name in ("status", "type", "subscriber_type", "global status", "list status"))
    found = next((text for text in texts if text and word(text) is None), "")
    return "" if _names_somebody(found) else found[:_LONGEST_WORD]


def _names_somebody(text: str) -> bool:
    return mentions_address(text) or _NETWORK.search(text) is not None
