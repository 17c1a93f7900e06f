"""What the mail side holds on people, as far as the people's side asks for it and has it severed (O-52, O-56)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

Said = str | int | bool | None
"""What a file for a person is made of."""


@dataclass(frozen=True)
class Kept:
    """The mail side's rows on one person, the oldest first, in names and values that a person can read."""

    letters: tuple[Mapping[str, Said], ...] = ()
    bounces: tuple[Mapping[str, Said], ...] = ()


class Records(Protocol):
    """The mail side provides it; each works in the caller's transaction."""

    def held_on(self, session: Session, subscriber_id: int, since: dt.datetime) -> Kept:
        """What is held on a person who has been known `since` then. Changes nothing."""

    def sever(self, session: Session, subscriber_ids: Sequence[int], now: dt.datetime) -> None:
        """Let nothing point at some people any more, and nothing that is on its way to them leave. Counts stay."""

    def sever_subscriptions(self, session: Session, subscription_ids: Sequence[int], now: dt.datetime) -> None:
        """The same for subscriptions that nobody ever confirmed, so that no issue was sent for them."""


class NoRecords:
    """A house without a mail side."""

    def held_on(self, session: Session, subscriber_id: int, since: dt.datetime) -> Kept:  # noqa: ARG002 -- the protocol's.
        """Nothing."""
        return Kept()

    def sever(self, session: Session, subscriber_ids: Sequence[int], now: dt.datetime) -> None:
        """There is nothing to sever."""

    def sever_subscriptions(self, session: Session, subscription_ids: Sequence[int], now: dt.datetime) -> None:
        """There is nothing to sever."""
