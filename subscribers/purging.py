"""What is not needed any more is deleted: requests that nobody confirmed, and people without any subscription."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from subscribers.db import Database, give_way, is_lock_timeout
from subscribers.letters import LONGEST_MEMORY
from subscribers.lifecycle import Event, State, step
from subscribers.models import ASKED_HERE, FreshLink, LetterMemory, Subscriber, Subscription
from subscribers.records import Records

CONFIRM_WITHIN = dt.timedelta(hours=72)
"""How long a confirmation link is good (O-02)."""
KEEP_UNCONFIRMED = CONFIRM_WITHIN + dt.timedelta(hours=24)
"""When a row that nobody confirmed is deleted, counted from the request (O-25)."""
BATCH = 1000
"""So many rows a transaction: the web goes on meanwhile, and no statement has too many parameters."""


def purge(database: Database, records: Records, now: dt.datetime) -> int:
    """Delete what nobody confirmed (O-25), people without any subscription, old links, letters no budget asks about.

    Who had left, asked again and did not confirm has left as before. Returns how many requests have lapsed.
    """
    with database.write() as session:
        session.execute(sa.delete(LetterMemory).where(LetterMemory.at <= now - LONGEST_MEMORY))
        session.execute(sa.delete(FreshLink).where(FreshLink.until <= now))
    lapsed = 0
    try:
        while batch := _lapse(database, records, now):
            lapsed += batch
        while _forget(database, records, now):
            pass
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
    return lapsed


# Rows that somebody works on just now are passed over; the next purge finds them, if they are still to be deleted. So
# on PostgreSQL a purge waits for nobody, and nobody's new sign-up is taken along. The ledger's rows a sender may be
# writing; then the purge gives way, and does the rest next time.


def _lapse(database: Database, records: Records, now: dt.datetime) -> int:
    # Whoever waits for the letter's button has asked here: it is said for the index, which has only these.
    old = (
        Subscription.state == State.PENDING,
        Subscription.requested_at <= now - KEEP_UNCONFIRMED,
        sa.text(ASKED_HERE),
    )
    query = sa.select(Subscription.id).where(*old).limit(BATCH).with_for_update(skip_locked=True)
    with database.write() as session:
        give_way(session)
        ids = session.scalars(query).all()
        _back_to_left(session, Subscription.id.in_(ids))
        never_there = sa.select(Subscription.id).where(Subscription.id.in_(ids), Subscription.left_at.is_(None))
        gone = session.scalars(never_there).all()
        records.sever_subscriptions(session, gone, now)
        session.execute(sa.delete(Subscription).where(Subscription.id.in_(gone)))
    return len(ids)


def _back_to_left(session: Session, which: sa.ColumnElement[bool]) -> None:
    before = step(State.PENDING, Event.LAPSED)
    back = sa.update(Subscription).where(which, Subscription.left_at.is_not(None))
    session.execute(back.values(state=before, confirm_hash=None, confirm_until=None))


def _forget(database: Database, records: Records, now: dt.datetime) -> int:
    nobody = ~sa.exists().where(Subscription.subscriber_id == Subscriber.id)
    query = sa.select(Subscriber.id).where(nobody).limit(BATCH).with_for_update(skip_locked=True)
    with database.write() as session:
        give_way(session)
        ids = session.scalars(query).all()
        # Asked again once they are locked: a sign-up may have been committed between, and its row would go with them.
        gone = session.scalars(sa.select(Subscriber.id).where(Subscriber.id.in_(ids), nobody)).all()
        records.sever(session, gone, now)
        session.execute(sa.delete(Subscriber).where(Subscriber.id.in_(gone)))
    return len(ids)
