"""One slice of an issue as a piece of work for the sender."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import idna
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, undefer_group

from digest.mail import ledger
from digest.mail.compose import NOBODY, Mailing, NotSendable, issue_mailing
from digest.mail.dkim import Signer
from digest.mail.kept import rendering
from digest.mail.kinds import KINDS, Kind
from digest.mail.providers import provider_of
from digest.mail.replies import Outcome
from digest.mail.slices import Slice
from digest.mail.smtp import Envelope
from digest.mail.verp import return_path
from digest.mail.work import BAD_DOMAIN, THESE, Batches, Copy, Gate, envelope_address
from digest.models import RENDERINGS, Delivery, DeliveryState, Issue, IssueState
from digest.settings import Newsletter
from subscribers.db import Database
from subscribers.lifecycle import Format
from subscribers.models import Subscriber, Subscription
from subscribers.tokens import Links
from subscribers.vault import SUBSCRIBER_ADDRESS, CannotOpen, Vault, WrongKeys

log = structlog.get_logger()

MAILINGS = 8
"""So many issues' messages are kept."""
Editions = Mapping[tuple[Format, bool], Mailing]
"""An issue's messages by the kind of reader that each is for."""


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
            Subscription.paused_until,
            Delivery.format,
            Delivery.is_neutral,
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
        self._editions: Editions = {}
        self.name = slice_.lease
        self.group = f"issue {slice_.issue_id}"

    def begin(self, now: dt.datetime, gate: Gate) -> bool:
        """Name what a dead sender left uncertain, settle what is not to be sent, and make the messages."""
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
        self._editions = self._mailings.of(self._database, issue, self._newsletter)
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
        delivery_id, delivery, attempts, subscription, person, sealed, paused_until, *kind = row
        if paused_until is not None and self._now is not None and paused_until > self._now:
            return Outcome(DeliveryState.EXCLUDED, "paused before it was sent")
        mailing = self._editions.get(tuple(kind))
        if mailing is None:
            raise NotSendable((f"the issue was not rendered for {Kind(*kind).name}",))
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
        self._made: dict[int, Editions] = {}

    def of(self, database: Database, issue: Issue, newsletter: Newsletter) -> Editions:
        """The messages of a frozen issue. Raises `NotSendable`."""
        made = self._made.get(issue.id)
        if made is None:
            made = self._make(database, issue.id, newsletter)
            if len(self._made) >= MAILINGS:
                self._made.clear()
            self._made[issue.id] = made
        return made

    def _make(self, database: Database, issue_id: int, newsletter: Newsletter) -> Editions:
        with database.read() as session:
            issue = session.get_one(Issue, issue_id, options=[undefer_group(RENDERINGS)])
        editions = editions_of(issue, newsletter, self._links, self._signers.get(newsletter.slug))
        _remember_the_wire(database, issue, wire_digest(editions))
        return editions


def editions_of(issue: Issue, newsletter: Newsletter, links: Links, signer: Signer | None) -> Editions:
    """The messages of a frozen issue, one for each kind of reader; its deferred columns must be loaded.

    All are made at once, a matter of some milliseconds each: what is remembered of the wire is said of all of them.
    Raises `NotSendable`.
    """
    frozen_at = issue.frozen_at
    kept = {kind: one for kind in KINDS if (one := rendering(issue, kind))}
    if not kept or frozen_at is None:
        raise NotSendable(("it was not published",))
    return {
        kind: issue_mailing(
            newsletter,
            rendered,
            links,
            week=issue.week,
            made_at=frozen_at,
            by_hand=issue.touched or issue.approved_by is not None,
            signer=signer,
        )
        for kind, rendered in kept.items()
    }


def wire_digest(editions: Editions) -> bytes:
    """SHA-256 of a copy to nobody of each message: the same for issues whose mails are the same octet by octet."""
    digest = hashlib.sha256()
    for kind in sorted(editions):
        digest.update(b"".join(editions[kind].copy("reader@example.org", NOBODY, NOBODY)))
    return digest.digest()


def _remember_the_wire(database: Database, issue: Issue, made: bytes) -> None:
    """Keep the messages' digest at the first run: a resend has to be the same, and a change is worth a warning."""
    if issue.wire_digest is None:
        with database.write() as session:
            first = sa.update(Issue).where(Issue.id == issue.id, Issue.wire_digest.is_(None))
            session.execute(first.values(wire_digest=made))
    elif issue.wire_digest != made:
        log.warning("the settings or the program changed while an issue goes out", issue=issue.id)
