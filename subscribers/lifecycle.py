"""The states of a subscription and every legal step between them. Pure."""

from __future__ import annotations

import datetime as dt
import enum


class State(enum.StrEnum):
    """Where a person stands with one newsletter."""

    PENDING = "pending"
    """Asked for it; nothing is sent until the link in the letter was followed and its button pressed."""
    CONFIRMED = "confirmed"
    LEFT = "left"


FORM = "form"
"""By the form, where anybody may type any address, and the confirmation that went to it."""
BY_MAIL = "mail"
"""By a mail that is known to come from their own address, and the confirmation that answered it."""
LINK = "link"
"""On the page of their own, which a fresh link has opened."""
HAND = "hand"
IMPORT = "import"
OWN_METHODS = frozenset({FORM, BY_MAIL, LINK})
"""How somebody comes who has shown here that the address is theirs; by the others somebody else has entered them."""


class Format(enum.StrEnum):
    """How much of the stories a reader wants in the mail."""

    SUMMARIES = "summaries"
    FULL = "full"
    """The whole stories, as many as a mail can hold."""
    TEXT = "text"
    """Summaries, and no HTML at all."""


class Event(enum.StrEnum):
    """What can happen to a subscription."""

    ASKED = "asked"
    CONFIRMED = "confirmed"
    LEFT = "left"
    ENTERED = "entered"
    """An operator entered it by hand, with the evidence why no confirmation is needed."""
    SUPPRESSED = "suppressed"
    """The mailbox is gone, or its owner complained: nothing goes there any more (N-12, N-20)."""
    TAKEN_BACK = "taken-back"
    """That the mailbox is gone was its provider's mistake: the suppression for it is undone (N-20)."""
    LAPSED = "lapsed"
    """Nobody confirmed in time, and they had left before: so it is as it was. (New ones are deleted, O-25.)"""


STEPS: dict[tuple[State | None, Event], State] = {
    (None, Event.ASKED): State.PENDING,
    (State.PENDING, Event.ASKED): State.PENDING,
    (State.LEFT, Event.ASKED): State.PENDING,
    (State.CONFIRMED, Event.ASKED): State.CONFIRMED,
    (State.PENDING, Event.CONFIRMED): State.CONFIRMED,
    (State.CONFIRMED, Event.CONFIRMED): State.CONFIRMED,
    (State.PENDING, Event.LEFT): State.LEFT,
    (State.CONFIRMED, Event.LEFT): State.LEFT,
    (State.LEFT, Event.LEFT): State.LEFT,
    (State.PENDING, Event.SUPPRESSED): State.LEFT,
    (State.CONFIRMED, Event.SUPPRESSED): State.LEFT,
    (State.LEFT, Event.SUPPRESSED): State.LEFT,
    (State.LEFT, Event.TAKEN_BACK): State.CONFIRMED,
    (State.PENDING, Event.LAPSED): State.LEFT,
    (None, Event.ENTERED): State.CONFIRMED,
    (State.PENDING, Event.ENTERED): State.CONFIRMED,
    (State.CONFIRMED, Event.ENTERED): State.CONFIRMED,
}


def step(state: State | None, event: Event) -> State | None:
    """The state after an event; none where the event is refused (whoever left only comes back by their own form)."""
    return STEPS.get((state, event))


def entered(state: State | None, left_at: dt.datetime | None) -> State | None:
    """The state of somebody whom an operator enters, by hand or with a file; none where that is refused (N-23).

    Anybody can type an address into the form: that somebody who left is waiting again does not show it was they.
    """
    return None if left_at else step(state, Event.ENTERED)
