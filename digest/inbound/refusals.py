"""What the relay said of a reader's mailbox counts as a bounce does (N-20): refusals are gathered from the ledger."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

import sqlalchemy as sa

from digest.inbound.applying import Applier, Found
from digest.inbound.notice import ByDelivery, Notice, Sign
from digest.inbound.status import meaning
from digest.mail import ledger
from digest.mail.replies import Scope
from digest.models import Bounce, Delivery, DeliveryState, Issue
from subscribers.db import Database

BATCH = 25
"""So many refusals a transaction: on SQLite the sender waits for it."""
LOOKED_BACK = dt.timedelta(days=7)
"""Issues that were over before are not looked at again."""


@dataclass
class Refusals:
    """The sweep over what was refused. Each refusal is noted once, whoever sweeps."""

    database: Database
    applier: Applier
    _over: set[int] = field(default_factory=set)
    """Issues that were over when they were last looked at."""

    def sweep(self, now: dt.datetime) -> int:
        """Note what was refused since; returns how many copies that were."""
        noted = self._note_all((ledger.IS_LETTER, Delivery.settled_at > now - LOOKED_BACK), now)
        for issue_id, is_over in self._issues(now):
            noted += self._note_all(ledger.of_issue(issue_id), now)
            if is_over:
                self._over.add(issue_id)
        return noted

    def _issues(self, now: dt.datetime) -> list[tuple[int, bool]]:
        """The issues that may have refusals which are not noted: those on their way, and those just over."""
        recent = sa.or_(Issue.finished_at.is_(None), Issue.finished_at > now - LOOKED_BACK)
        query = sa.select(Issue.id, Issue.finished_at).where(Issue.frozen_at > now - 2 * LOOKED_BACK, recent)
        with self.database.read() as session:
            found = session.execute(query.order_by(Issue.id)).all()
        return [(row.id, row.finished_at is not None) for row in found if row.id not in self._over]

    def _note_all(self, which: ledger.Which, now: dt.datetime) -> int:
        noted = 0
        while batch := self._note_some(which, now):
            noted += batch
        return noted

    def _note_some(self, which: ledger.Which, now: dt.datetime) -> int:
        refused = (
            Delivery.state == DeliveryState.REJECTED,
            Delivery.scope == Scope.RECIPIENT.value,
            Delivery.subscriber_id.is_not(None),
            ~sa.exists().where(Bounce.delivery_id == Delivery.id),
        )
        query = sa.select(Delivery).where(*which, *refused).limit(BATCH)
        with self.database.read() as session:
            found = session.scalars(query).all()
        if found:
            with self.database.write() as session:
                for one in found:
                    self.applier.note(session, _found(one), notice_of(one), now)
        return len(found)


def notice_of(delivery: Delivery) -> Notice:
    """What a refused copy says of its mailbox. A reason of our own says nothing of it."""
    who, reply = ByDelivery(delivery.public_id), delivery.reply or ""
    if not re.match(r"[45]\d\d ", reply):
        return Notice(Sign.POLICY, who, reason="not-sent")
    said = meaning("", reply)
    return Notice(said.sign, who, said.status, said.reason)


def _found(delivery: Delivery) -> Found:
    person = delivery.subscriber_id
    assert person is not None  # noqa: S101 -- the query asks for it.
    return Found(person, delivery.subscription_id, delivery.newsletter, delivery.issue_id, delivery.id)
