"""What a reader can set, on the page that a fresh link opens: format, subject line, pause, leave, join (F-52, O-51).

Each function works in the caller's transaction, on the person whom the link has shown.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.lifecycle import LINK, Event, Format, State, step
from subscribers.models import Subscriber, Subscription
from subscribers.newsletters import NewsletterInfo
from subscribers.suppression import end, reason_for
from subscribers.tokens import hash_token

PAUSES = (1, 2, 4, 8)
"""The weeks that a pause may last."""


@dataclass(frozen=True)
class Choice:
    """How somebody gets one newsletter."""

    newsletter: NewsletterInfo
    format: Format
    is_neutral: bool
    paused_until: dt.datetime | None
    """None where no pause lasts."""


@dataclass(frozen=True)
class Mine:
    """What a person's own page shows. The address is not on it: this process cannot open it."""

    read: tuple[Choice, ...]
    offered: tuple[NewsletterInfo, ...]
    """The newsletters that they do not get."""

    @property
    def first(self) -> NewsletterInfo | None:
        """The newsletter in whose language the page is; none where nothing is read."""
        return self.read[0].newsletter if self.read else None


def mine(session: Session, person: Subscriber, newsletters: Mapping[str, NewsletterInfo], now: dt.datetime) -> Mine:
    """A person's subscriptions as they stand. Changes nothing."""
    query = sa.select(Subscription).where(
        Subscription.subscriber_id == person.id, Subscription.state == State.CONFIRMED
    )
    confirmed = {one.newsletter: one for one in session.scalars(query)}
    read = [_choice(info, confirmed[slug], now) for slug, info in newsletters.items() if slug in confirmed]
    return Mine(tuple(read), tuple(info for slug, info in newsletters.items() if slug not in confirmed))


def set_format(session: Session, person: Subscriber, newsletter: str, wanted: Format, *, is_neutral: bool) -> bool:
    """Choose how the issues come. False where the newsletter is not read."""
    if subscription := _confirmed(session, person, newsletter):
        subscription.format, subscription.is_neutral = wanted, is_neutral
    return subscription is not None


def pause(session: Session, person: Subscriber, newsletter: str, weeks: int, now: dt.datetime) -> bool:
    """Let issues pass somebody by for some weeks; 0 ends a pause. False where the newsletter is not read."""
    if subscription := _confirmed(session, person, newsletter):
        subscription.paused_until = now + dt.timedelta(weeks=weeks) if weeks else None
    return subscription is not None


def leave(session: Session, person: Subscriber, newsletter: str, now: dt.datetime) -> bool:
    """End a subscription. False where the newsletter is not read."""
    if subscription := _confirmed(session, person, newsletter):
        end(subscription, Event.LEFT, now)
    return subscription is not None


def join(session: Session, person: Subscriber, info: NewsletterInfo, fresh_token: str, now: dt.datetime) -> bool:
    """Subscribe somebody who has just shown that the address is theirs: the fresh link stands for the confirmation.

    False where the address must not be mailed; the way back from there is the form alone (N-23).
    """
    if _is_suppressed(session, person):
        return False
    subscription = _subscription(session, person, info.slug)
    # A press on a page that the mailbox's owner alone can open is both steps at once: the wish and its confirmation.
    asked = step(subscription.state if subscription else None, Event.ASKED)
    state = step(asked, Event.CONFIRMED)
    if state is None or (subscription and subscription.state is state):
        return state is not None
    if subscription is None:
        subscription = Subscription(public_id=secrets.token_bytes(16), subscriber_id=person.id, newsletter=info.slug)
        session.add(subscription)
    subscription.state = state
    subscription.language = info.language
    subscription.requested_at = subscription.confirmed_at = now
    subscription.method = LINK
    subscription.evidence = json.dumps({"wording": info.wording_hash, "token": hash_token(fresh_token).hex()[:16]})
    subscription.left_at = subscription.left_reason = None
    subscription.confirm_hash = subscription.confirm_until = subscription.paused_until = None
    return True


def _choice(info: NewsletterInfo, subscription: Subscription, now: dt.datetime) -> Choice:
    until = subscription.paused_until
    return Choice(info, subscription.format, subscription.is_neutral, until if until and until > now else None)


def _confirmed(session: Session, person: Subscriber, newsletter: str) -> Subscription | None:
    subscription = _subscription(session, person, newsletter)
    return subscription if subscription and subscription.state is State.CONFIRMED else None


def _subscription(session: Session, person: Subscriber, newsletter: str) -> Subscription | None:
    theirs = Subscription.subscriber_id == person.id, Subscription.newsletter == newsletter
    return session.scalar(sa.select(Subscription).where(*theirs).with_for_update())


def _is_suppressed(session: Session, person: Subscriber) -> bool:
    # A row without its hash is older than the column; its owner read a letter of ours within the hour.
    return person.suppression_hash is not None and reason_for(session, person.suppression_hash) is not None
