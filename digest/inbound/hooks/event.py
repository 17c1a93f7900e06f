"""What the hooks of all providers have in common: how a request is read, and what it comes to. Pure.

Nothing here raises for what a payload holds but `BadPayload`, and no sentence repeats anything of a payload.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from digest.inbound.notice import ByAddress, Notice, Sign, Who
from digest.inbound.status import meaning

AHEAD = 300
"""Seconds that a provider's clock may be ahead of ours."""
_ADDRESS = re.compile(r"[^\s<>@\x00-\x1f\x7f]{1,64}@[^\s<>@\x00-\x1f\x7f]{1,255}")
UNCLEAR = "unclear"
"""The reason where nobody gives one; the same word as in `status`."""
SUPPRESSED_THERE = "suppressed-there"
"""The provider itself does not send to the address any more."""
LEFT_THERE = "left-at-provider"
COMPLAINT = "complaint"

Identify = Callable[[Mapping[str, str]], Who | None]
"""Reads our own signed tokens in a message's header fields (names in lower case): whose copy it was, if any is good."""


class BadPayload(ValueError):
    """A payload is not JSON of the shape that is documented; the sentence repeats nothing of it."""


@dataclass(frozen=True)
class Event:
    """One thing that a provider tells, after the provider has proved who it is."""

    key: str
    """What names it for ever; empty where the provider gives it no name, and what it says has to do."""
    raw: bytes = field(repr=False)
    """What `read` of the same provider understands."""


@dataclass(frozen=True)
class Passed:
    """A request that has proved who sends it."""

    events: tuple[Event, ...] = ()
    """What has to be kept; opens and clicks are not among them (N-36)."""
    confirm: str = ""
    """An address to open before anything more will come (N-32)."""
    said: str = ""
    """A sentence for the log, where an operator should know."""


@dataclass(frozen=True)
class Refused:
    """A request that changes nothing."""

    status: int
    """The HTTP status to answer with; 5xx asks the provider to come again."""
    why: str
    """A sentence for the log."""


def parse(raw: bytes) -> object:
    """The JSON value of a body. Raises `BadPayload`, also for one that is nested too deep to be read."""
    try:
        return json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise BadPayload("it is nested too deep") from None
    except ValueError:
        raise BadPayload("it is not JSON in UTF-8") from None


def inside(data: object, *names: str) -> object:
    """What stands at a path of keys; none where there is no such path."""
    for name in names:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def text(data: object, *names: str) -> str:
    """The text at a path of keys; empty where none is."""
    found = inside(data, *names)
    return found if isinstance(found, str) else ""


def rows(data: object, *names: str) -> list[dict[str, object]]:
    """The objects of a list at a path of keys."""
    found = inside(data, *names)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def octets(value: str) -> bytes:
    """Octets to compare with: no text makes it raise."""
    return value.encode("utf-8", "replace")


def is_fresh(stamp: str, now: dt.datetime, window: dt.timedelta) -> bool:
    """Whether a time in seconds since 1970 is at most `window` ago, and not in the future."""
    if not re.fullmatch(r"[0-9]{1,12}", stamp):
        return False
    age = now.timestamp() - int(stamp)
    return -AHEAD <= age <= window.total_seconds()


def address(data: object, *names: str) -> ByAddress | None:
    """The address at a path of keys, written alone or in angle brackets; none where it is no address."""
    found = text(data, *names).strip()
    if found.endswith(">"):
        found = found[:-1].rpartition("<")[2]
    return ByAddress(found) if _ADDRESS.fullmatch(found) else None


def weighed(sign: Sign, reason: str, who: Who, status: str, words: str) -> Notice:
    """A notice of what a provider says, and of the code and the words of the other server that came with it.

    These can only make it milder: providers call a refusal of our text or our relay a hard bounce, too (N-22, S-22).
    """
    if sign in (Sign.COMPLAINT, Sign.LEAVE):
        return Notice(sign, who, reason=reason)
    said = meaning(status, words)
    is_clear = said.reason != UNCLEAR and reason != SUPPRESSED_THERE
    if is_clear and (sign is Sign.HARD or (sign is said.sign and reason == UNCLEAR)):
        return Notice(said.sign, who, said.status, said.reason)
    return Notice(sign, who, said.status, reason)
