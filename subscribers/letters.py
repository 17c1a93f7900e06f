"""What the people's side asks the mail side to send, and how often it may. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.orm import Session

from subscribers.lifecycle import BY_MAIL

CONFIRM = "confirm"
"""Context: `confirm_url`, `never_url`."""
ALREADY_SUBSCRIBED = "already-subscribed"
"""Context: `mine_url`, good for `FRESH_FOR`, and `manage_url`, by which another can be asked for."""
MANAGE = "manage"
"""A fresh link to the page of one's own. Context: `mine_url`, `never_url` (may be empty)."""
MANAGE_GONE = "manage-gone"
"""The budget of the same letter for somebody who does not read now: whoever has an old issue can ask for it."""
FRESH_FOR = dt.timedelta(hours=1)
"""How long a fresh link opens the page of one's own."""
ANSWERS_MAIL = "answers_mail"
"""In the context of a letter that answers somebody's mail, and so says that it does (F-33); its templates ignore it."""


@dataclass(frozen=True)
class Letter:
    """One letter to one person; its kind is the name of its template folder."""

    kind: str
    newsletter: str
    subscriber_id: int
    subscription_id: int | None
    context: Mapping[str, str] = field(repr=False)
    """What the template may use beyond the newsletter's own data. Has links with tokens, so it is stored sealed."""
    give_up_after: dt.timedelta
    """How long it makes sense to try."""


class Outbox(Protocol):
    """Where letters are left; the mail side provides it."""

    def post(self, session: Session, letter: Letter, now: dt.datetime) -> None:
        """Write the letter's row in the caller's transaction: it goes out if and only if that is committed."""


def context_for(method: str, **links: str) -> dict[str, str]:
    """What a letter is given that answers somebody who asked in that way."""
    return {**links, ANSWERS_MAIL: "yes"} if method == BY_MAIL else links


@dataclass(frozen=True)
class Allowance:
    """No more than `count` letters of a kind in any span of `per`."""

    count: int
    per: dt.timedelta


BUDGETS: Mapping[str, tuple[Allowance, ...]] = {
    CONFIRM: (Allowance(1, dt.timedelta(hours=24)), Allowance(3, dt.timedelta(days=30))),
    ALREADY_SUBSCRIBED: (Allowance(1, dt.timedelta(days=30)),),
    MANAGE: (
        Allowance(1, dt.timedelta(minutes=10)),
        Allowance(5, dt.timedelta(days=1)),
        Allowance(20, dt.timedelta(days=30)),
    ),
    MANAGE_GONE: (Allowance(1, dt.timedelta(days=1)), Allowance(3, dt.timedelta(days=30))),
}
"""How often a kind of letter may go to one address, whoever asks for it (O-21)."""

LONGEST_MEMORY = max(allowance.per for allowances in BUDGETS.values() for allowance in allowances)
"""What was posted longer ago than this no budget asks about."""


def may_post(kind: str, earlier: Iterable[dt.datetime], now: dt.datetime) -> bool:
    """Whether one more letter of this kind may go to an address that got some `earlier` (any order)."""
    return is_within(BUDGETS[kind], earlier, now)


def is_within(allowances: Iterable[Allowance], earlier: Iterable[dt.datetime], now: dt.datetime) -> bool:
    """Whether one more letter may go, by each of some allowances, after the `earlier` ones (any order)."""
    times = list(earlier)
    return all(sum(at > now - allowance.per for at in times) < allowance.count for allowance in allowances)
