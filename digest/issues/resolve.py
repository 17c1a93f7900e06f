"""Settling by hand what nobody knows the outcome of: leave it as it is, or send the very same message once more.

After the final dot without an answer, a copy may have arrived or not. Nothing is ever sent again by itself (S-12): a
person looks into the relay's log for the Message-ID and decides. A resend is the same message byte by byte, so that a
relay or a mail program that knows it already can tell.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import log
from digest.issues.control import locked, reopen
from digest.issues.outcomes import Done, Refused
from digest.mail import ledger
from digest.mail.compose import Mailing, NotSendable
from digest.mail.dkim_keys import BadDkimKey, signer
from digest.mail.issue_work import editions_of, wire_digest
from digest.models import Delivery, DeliveryState, Issue, Report
from digest.settings import Newsletter
from subscribers.tokens import Links

ACTION = "resolve"
"""What the log calls it when unknown ones are left as they are; a resend is a `reopen`."""
GIVE_UP_AFTER = dt.timedelta(hours=24)
"""How long a resend is tried."""
LISTED = 200
NUMBERS_NAMED = 5

OPEN = (
    ledger.IS_ISSUE,
    Delivery.state.in_(ledger.BY_HAND[DeliveryState.QUEUED]),
    Delivery.resolved_at.is_(None),
)
"""Nobody knows, and nobody has decided: from here alone both steps may be taken."""


@dataclass(frozen=True)
class OpenOne:
    """A delivery about which somebody has to decide. No address: the numbers lead to it where one is needed."""

    delivery: int
    subscriber: int | None
    at: dt.datetime | None
    """When its outcome became unknown."""
    known: str
    message_id: str
    """What to look for in the relay's log."""


def open_ones(session: Session, issue_id: int, newsletter: Newsletter, links: Links) -> tuple[OpenOne, ...]:
    """The deliveries to be decided about, the first few hundred."""
    names = Mailing((), links, newsletter.sender.domain, 0)
    columns = (Delivery.id, Delivery.subscriber_id, Delivery.settled_at, Delivery.reply, Delivery.public_id)
    query = sa.select(*columns).where(Delivery.issue_id == issue_id, *OPEN).order_by(Delivery.id).limit(LISTED)
    return tuple(
        OpenOne(which, subscriber, at, reply or "", names.message_id(public_id).decode())
        for which, subscriber, at, reply, public_id in session.execute(query)
    )


def leave(
    session: Session, issue_id: int, deliveries: Collection[int] | None = None, *, who: str, now: dt.datetime
) -> Done | Refused:
    """Leave deliveries as they are, all that are open or those given: unknown for ever, and no longer asked about."""
    found = _found(session, issue_id, deliveries)
    if isinstance(found, Refused):
        return found
    issue, chosen = found.issue, found.deliveries
    _change(session, found, resolved_at=now)
    detail = f"left as unknown: {_numbers(chosen)}"
    log.append(session, at=now, who=who, action=ACTION, about=issue.name, detail=detail)
    session.flush()
    return Done(issue.id, issue.revision, issue.state, _saying(len(chosen), "stays unknown", "stay unknown"))


def resend(
    session: Session,
    issue_id: int,
    deliveries: Collection[int] | None = None,
    *,
    newsletter: Newsletter,
    links: Links,
    who: str,
    now: dt.datetime,
) -> Done | Refused:
    """Queue deliveries again, all that are open or those given, and open the issue's books for them.

    Each is sent in the kind that it had, whatever its reader has chosen since. Refused where a message made now would
    not be the one that was made first. A reader who has left meanwhile is excluded by the ledger, as ever.
    """
    found = _found(session, issue_id, deliveries)
    if isinstance(found, Refused):
        return found
    issue, chosen = found.issue, found.deliveries
    if differs := _differs(issue, newsletter, links):
        return differs
    done = reopen(session, issue_id, detail=f"sent again: {_numbers(chosen)}", who=who, now=now)
    if isinstance(done, Refused):
        return Refused(f"{done.reason} What is unknown of it can only be left as it is.")
    _change(
        session,
        found,
        state=DeliveryState.QUEUED,
        due_at=now,
        give_up_at=now + GIVE_UP_AFTER,
        settled_at=None,
        scope=None,
    )
    return Done(done.issue_id, done.revision, done.state, _saying(len(chosen), "is sent again", "are sent again"))


@dataclass(frozen=True)
class _Found:
    """What somebody wants to settle, its issue locked."""

    issue: Issue
    deliveries: list[int]
    is_all: bool


def _found(session: Session, issue_id: int, deliveries: Collection[int] | None) -> _Found | Refused:
    """The open deliveries that are meant; every one of them has to be open."""
    issue = locked(session, issue_id)
    if isinstance(issue, Refused):
        return issue
    if purged := session.get(Report, issue.id):
        return Refused(
            f"The copies of {issue.name} were purged to counts on {purged.made_at:%Y-%m-%d}: nothing is known any more "
            "that could be settled."
        )
    query = sa.select(Delivery.id).where(Delivery.issue_id == issue.id, *OPEN).order_by(Delivery.id)
    standing = list(session.scalars(query))
    if not standing:
        return Refused(f"Nothing of {issue.name} is open: no delivery is unknown that was not settled before.")
    if deliveries is None:
        return _Found(issue, standing, is_all=True)
    chosen = sorted(set(deliveries))
    return _not_open(issue, chosen, standing) or _Found(issue, chosen, is_all=False)


def _not_open(issue: Issue, chosen: list[int], standing: list[int]) -> Refused | None:
    """The refusal where a number is not one of those that stand open; none where all are."""
    if not chosen:
        return Refused("Say which deliveries are meant: none was chosen.")
    wrong = sorted(set(chosen) - set(standing))
    if not wrong:
        return None
    more = f" and {len(wrong) - NUMBERS_NAMED} more" if len(wrong) > NUMBERS_NAMED else ""
    named = ", ".join(map(str, wrong[:NUMBERS_NAMED]))
    return Refused(f"Not open in {issue.name}: {named}{more}. It may have been settled meanwhile; nothing was done.")


def _differs(issue: Issue, newsletter: Newsletter, links: Links) -> Refused | None:
    """The refusal where a resend would be another message than the first; none where it is the same."""
    if issue.wire_digest is None:
        return Refused(
            f"It was not recorded what the message of {issue.name} looked like on the wire, so nobody can say that a "
            "resend would be the same. What is unknown can be left as it is."
        )
    try:
        made = editions_of(issue, newsletter, links, signer(newsletter))
        is_same = hmac.compare_digest(wire_digest(made), issue.wire_digest)
    except BadDkimKey as error:
        return Refused(f"{error} Without it nobody can say that a resend would be the same; try where the sender runs.")
    except NotSendable:
        is_same = False
    if is_same:
        return None
    return Refused(
        f"The message of {issue.name} would not be the same byte by byte as the first time: the settings (sender, "
        "base address), the keys or the program have changed since. Put them back as they were, or leave "
        "what is unknown as it is."
    )


def _change(session: Session, found: _Found, **values: object) -> None:
    which = Delivery.issue_id == found.issue.id if found.is_all else Delivery.id.in_(found.deliveries)
    change = sa.update(Delivery).where(which, *OPEN).values(**values)
    session.execute(change, execution_options={"synchronize_session": False})


def _saying(number: int, one: str, many: str) -> str:
    return f"{number:,} {f'delivery {one}' if number == 1 else f'deliveries {many}'}."


def _numbers(deliveries: Iterable[int]) -> str:
    """Delivery numbers in few words, for the log: `3, 7-9`. They are sorted."""
    runs = []
    for _, run in groupby(enumerate(deliveries), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        runs.append(f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ", ".join(runs)
