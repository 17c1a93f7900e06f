"""One slice of an issue as a piece of work for the sender."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import idna
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, undefer

from digest.mail import ledger
from digest.mail.compose import NOBODY, Mailing, NotSendable, issue_mailing
from digest.mail.dkim import Signer
from digest.mail.providers import provider_of
from digest.mail.render import Rendered
from digest.mail.replies import Outcome
from digest.mail.slices import Slice
from digest.mail.smtp import Envelope
from digest.mail.verp import return_path
from digest.mail.work import BAD_DOMAIN, THESE, Batches, Copy, Gate, envelope_address
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.settings import Newsletter
from subscribers.db import Database
from subscribers.models import Subscriber, Subscription
from subscribers.tokens import Links
from subscribers.vault import SUBSCRIBER_ADDRESS, CannotOpen, Vault, WrongKeys

log = structlog.get_logger()

MAILINGS = 8
"""So many issues' messages are kept."""


class IssueWork(Batches):
    """The deliveries of one slice of an issue."""

    _query = (
        sa.select(
            Delivery.id,
            Delivery.public_id,
            Delivery.attempts,
            Subscription.public_id,
            Subscriber.public_id,
            Subscriber.address_sealed,
        )
        .join(Subscription, Subscription.id == Delivery.subscription_id)
        .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
        .where(THESE)
        .order_by(Delivery.id)
    )

    def __init__(
        self, database: Database, vault: Vault, newsletter: Newsletter, mailings: Mailings, slice_: Slice
    ) -> None:
        super().__init__(database)
        self._vault = vault
        self._newsletter = newsletter
        self._mailings = mailings
        self._issue_id = slice_.issue_id
        self._mine = ledger.of_slice(slice_.issue_id, slice_.number)
        self._mailing: Mailing | None = None
        self.name = slice_.lease
        self.group = f"issue {slice_.issue_id}"

    def begin(self, now: dt.datetime, gate: Gate) -> bool:
        """Name what a dead sender left uncertain, settle what is not to be sent, and make the message."""
        self._gate = gate
        with self._database.write() as session:
            ledger.recover(session, self._mine, now)
            issue = session.get_one(Issue, self._issue_id)
            if issue.state is IssueState.CANCELLED:
                ledger.exclude_all(session, self._mine, "the issue was cancelled", now)
                return False
            ledger.give_up(session, self._mine, now)
            ledger.exclude_gone(session, self._mine, now)
            is_first = ledger.is_untried(session, self._issue_id)
        self._mailing = self._mailings.of(self._database, issue, self._newsletter)
        return is_first

    def size(self) -> int:
        """How many deliveries are still open."""
        with self._database.read() as session:
            return ledger.waiting(session, self._mine)

    def end(self, now: dt.datetime, stopped: str | None) -> None:
        """Close the books where nothing is left; pause the issue where a person has to look."""
        with self._database.write() as session:
            ledger.exclude_gone(session, self._mine, now)
            ledger.give_up(session, self._mine, now)
            self._leave_the_rest(session, now)
            if not ledger.finish(session, self._issue_id, now) and stopped:
                ledger.pause(session, self._issue_id, stopped, now)

    def _which(self) -> ledger.Which:
        sending = sa.exists().where(Issue.id == self._issue_id, Issue.state == IssueState.SENDING)
        return (*self._mine, sending)

    def _copy(self, session: Session, row: sa.Row[*tuple[Any, ...]]) -> Copy | Outcome:  # noqa: ARG002 -- the letters' side needs it.
        delivery_id, delivery, attempts, subscription, person, sealed = row
        mailing = self._mailing
        if mailing is None:
            raise RuntimeError("begin() comes first")
        try:
            address = envelope_address(self._vault.open(sealed, SUBSCRIBER_ADDRESS, person))
        except WrongKeys as error:
            raise NotSendable((str(error),)) from error
        except CannotOpen as error:
            return Outcome(DeliveryState.REJECTED, f"the address cannot be used: {error}")
        except idna.IDNAError:
            return Outcome(DeliveryState.REJECTED, BAD_DOMAIN)
        return Copy(
            delivery_id,
            attempts,
            provider_of(address),
            Envelope(return_path(self._newsletter, mailing.links.key, delivery), address, mailing.size, delivery.hex()),
            mailing.copy(address, delivery, subscription),
        )


class Mailings:
    """The messages of the issues that go out, each made once in a process. Safe to use from several threads."""

    def __init__(self, links: Links, signers: Mapping[str, Signer]) -> None:
        self._links = links
        self._signers = signers
        self._made: dict[int, Mailing] = {}

    def of(self, database: Database, issue: Issue, newsletter: Newsletter) -> Mailing:
        """The message of a frozen issue. Raises `NotSendable`."""
        made = self._made.get(issue.id)
        if made is None:
            made = self._make(database, issue.id, newsletter)
            if len(self._made) >= MAILINGS:
                self._made.clear()
            self._made[issue.id] = made
        return made

    def _make(self, database: Database, issue_id: int, newsletter: Newsletter) -> Mailing:
        with database.read() as session:
            rendered = (Issue.rendered_subject, Issue.rendered_text, Issue.rendered_html)
            issue = session.get_one(Issue, issue_id, options=[undefer(one) for one in rendered])
        mailing = mailing_of(issue, newsletter, self._links, self._signers.get(newsletter.slug))
        _remember_the_wire(database, issue, wire_digest(mailing))
        return mailing


def mailing_of(issue: Issue, newsletter: Newsletter, links: Links, signer: Signer | None) -> Mailing:
    """The message of a frozen issue; its deferred columns must be loaded. Raises `NotSendable`."""
    if issue.rendered_html is None or issue.frozen_at is None:
        raise NotSendable(("it was not published",))
    return issue_mailing(
        newsletter,
        Rendered(issue.rendered_subject or "", issue.rendered_text or "", issue.rendered_html),
        links,
        week=issue.week,
        made_at=issue.frozen_at,
        by_hand=issue.touched or issue.approved_by is not None,
        signer=signer,
    )


def wire_digest(mailing: Mailing) -> bytes:
    """SHA-256 of a copy to nobody: the same for two messages that are the same octet by octet."""
    return hashlib.sha256(b"".join(mailing.copy("reader@example.org", NOBODY, NOBODY))).digest()


def _remember_the_wire(database: Database, issue: Issue, made: bytes) -> None:
    """Keep the message's digest at the first run: a resend has to be the same, and a change is worth a warning."""
    if issue.wire_digest is None:
        with database.write() as session:
            first = sa.update(Issue).where(Issue.id == issue.id, Issue.wire_digest.is_(None))
            session.execute(first.values(wire_digest=made))
    elif issue.wire_digest != made:
        log.warning("the settings or the program changed while an issue goes out", issue=issue.id)
