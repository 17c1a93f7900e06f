"""What the relay's answers mean: pure rules from a reply to an outcome (S-20 to S-22, S-30)."""

from __future__ import annotations

import datetime as dt
import enum
import random
import re
from dataclasses import dataclass

from digest.models import DeliveryState
from subscribers.characters import cleaned

RETRY_AFTER = (5, 15, 45, 120, 180)
"""Minutes to the next try after the first, second, … failed one; the last repeats (S-30; RFC 6647 §5)."""

OUR_FAULT = frozenset({500, 501, 502, 503, 504, 530, 534, 535, 538, 555})
"""Wrong syntax, wrong order, not logged in: before the dot these are about our talk with the relay, not the reader."""

CLOSING = 421
"""The relay's word that it closes the connection (RFC 5321 §3.8)."""

TOO_FAST = frozenset({(4, 7, 28), (4, 7, 650), (4, 7, 651), (4, 7, 652)})
"""Google's and Microsoft's ways to say that too much comes from us (B-09)."""

MAX_REPLY = 2000
"""Characters of a reply that are kept (S-23)."""


class Stage(enum.StrEnum):
    """How far a transaction had come when something was said or went wrong."""

    CONNECT = "connect"
    """The session was being opened: TLS, greeting, log-in."""
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    """The text was on its way, the final dot was not: nothing can have been accepted (RFC 5321 §4.1.1.10)."""
    DOT = "dot"
    """The dot had left: without a readable answer the outcome is unknown (RFC 1047)."""


class Scope(enum.StrEnum):
    """Whom a failure is about (S-22)."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    SENDER = "sender"
    RELAY = "relay"


@dataclass(frozen=True)
class Reply:
    """One answer of the relay: its code and its text, lines joined by blanks."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        """Whether the first digit is 2; only that digit decides (RFC 5321 §4.3.2)."""
        return self.code // 100 == 2  # noqa: PLR2004 -- the digit is the meaning.

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


@dataclass(frozen=True)
class Outcome:
    """What becomes of a delivery after one try."""

    state: DeliveryState
    reply: str
    """For the operator: bounded, without control characters and addresses."""
    scope: Scope = Scope.RECIPIENT
    """Whom a failure is about; of no meaning for `accepted`."""
    is_too_fast: bool = False
    """Whether the reader's provider wants us to slow down (B-09)."""


def outcome(stage: Stage, reply: Reply) -> Outcome:
    """What a readable answer means at its stage.

    The first digit decides whether to try again; the enhanced code (RFC 3463) only tells whom it is about.
    """
    text = tidy(str(reply))
    if stage is Stage.DOT and reply.is_positive:
        return Outcome(DeliveryState.ACCEPTED, text)
    if reply.code // 100 == 5:  # noqa: PLR2004 -- the digit is the meaning.
        return _refused(stage, reply, text)
    if reply.code // 100 == 4:  # noqa: PLR2004
        about_reader = stage is Stage.RCPT and reply.code != CLOSING and _enhanced(reply)[:2] != (4, 7)
        scope = Scope.RECIPIENT if about_reader else Scope.SENDER
        return Outcome(DeliveryState.DEFERRED, text, scope, _is_too_fast(stage, reply))
    if stage is Stage.DOT:
        return Outcome(DeliveryState.UNKNOWN, text, Scope.RELAY)
    return Outcome(DeliveryState.DEFERRED, text, Scope.RELAY)


def _is_too_fast(stage: Stage, reply: Reply) -> bool:
    """Whether a provider asks for fewer messages (B-09): after the envelope's sender, since before it is the relay's.

    Greylisting (450, or 451 with 4.7.1) is about one reader and one try.
    """
    if stage in (Stage.CONNECT, Stage.MAIL):
        return False
    enhanced = _enhanced(reply)
    return enhanced in TOO_FAST or (reply.code == CLOSING and enhanced[:2] == (4, 7))


def interrupted(stage: Stage, why: str) -> Outcome:
    """What a lost, silent or garbled connection means: only after the dot is anything uncertain (trap T9)."""
    if stage is Stage.DOT:
        return Outcome(DeliveryState.UNKNOWN, tidy(f"no answer to the final dot: {why}"), Scope.RELAY)
    return Outcome(DeliveryState.DEFERRED, tidy(f"{stage}: {why}"), Scope.RELAY)


def _refused(stage: Stage, reply: Reply, text: str) -> Outcome:
    enhanced = _enhanced(reply)
    # "5yz responses to the MAIL command MUST NOT be cached" (RFC 5321 §4.5.4.1), and 552 to RCPT means "too many
    # recipients" where no enhanced code says otherwise (§4.5.3.1.10): neither is final.
    about_relay = stage in (Stage.CONNECT, Stage.MAIL) or (stage is not Stage.DOT and reply.code in OUR_FAULT)
    is_final = not about_relay and (stage, reply.code, enhanced) != (Stage.RCPT, 552, ())
    state = DeliveryState.REJECTED if is_final else DeliveryState.DEFERRED
    return Outcome(state, text, Scope.RELAY if about_relay else _scope(stage, enhanced))


def _scope(stage: Stage, enhanced: tuple[int, ...]) -> Scope:
    """Whom a final refusal is about (the table of S-22)."""
    if enhanced[:2] == (5, 7) and enhanced != (5, 7, 13):
        return Scope.SENDER
    if enhanced != (5, 3, 4) and (stage is Stage.RCPT or enhanced[:2] in ((5, 1), (5, 2))):
        return Scope.RECIPIENT
    return Scope.MESSAGE


def _enhanced(reply: Reply) -> tuple[int, ...]:
    """The enhanced status code at the start of the text, or nothing."""
    match = re.match(r"([245])\.(\d{1,3})\.(\d{1,3})\b", reply.text)
    return tuple(int(part) for part in match.groups()) if match else ()


def tidy(text: str) -> str:
    """A reply as it may be kept: bounded, in one line, and with every address replaced (S-23, O-53)."""
    return " ".join(_ADDRESS.sub("<address>", cleaned(text)).split())[:MAX_REPLY]


def without(text: str, recipient: str) -> str:
    """A reply without the reader it was about, whether it names them whole, coded, or by the local part alone."""
    local = recipient.rpartition("@")[0]
    for known in (recipient, recipient.replace("@", "=40"), local):
        if known.lower() not in text.lower():
            continue  # A pattern a reader would be the dearest part of sending to them.
        text = re.sub(rf"(?<![\w]){re.escape(known)}(?![\w])", "<address>", text, flags=re.IGNORECASE)
    return text


_ADDRESS = re.compile(r"(?:\"[^\"]+\"|[^\s<>:;,()\[\]\"]+)@(?:\[[^\]]*\]|[^\s<>:;,()\[\]\"']+)")


def next_try(attempts: int, now: dt.datetime, rng: random.Random) -> dt.datetime:
    """When to try again after so many failed tries, spread by up to a fifth so that a crowd does not come at once."""
    minutes = RETRY_AFTER[min(attempts, len(RETRY_AFTER)) - 1] if attempts else RETRY_AFTER[0]
    return now + dt.timedelta(minutes=minutes * rng.uniform(1.0, 1.2))
