"""The letters that wait, as a piece of work for the sender."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import idna
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from digest.mail import ledger
from digest.mail.compose import NOBODY, Mailing, NotSendable, issue_mailing, letter_mailing
from digest.mail.dkim import Signer
from digest.mail.outbox import TEST
from digest.mail.providers import provider_of
from digest.mail.render import BadTemplate, Rendered, Renderer
from digest.mail.replies import Outcome, Scope
from digest.mail.smtp import Envelope
from digest.mail.verp import return_path
from digest.mail.work import BAD_DOMAIN, THESE, Batches, Copy, Gate, envelope_address
from digest.models import Delivery, DeliveryState, User
from digest.settings import Newsletter
from subscribers.db import Database
from subscribers.forms import Address, parse_address
from subscribers.letters import ANSWERS_MAIL, CONFIRM
from subscribers.models import Subscription
from subscribers.purging import CONFIRM_WITHIN
from subscribers.roll import address_of
from subscribers.suppression import can_come_back, mailbox_hash_of, reason_for
from subscribers.tokens import Links
from subscribers.vault import DELIVERY_CONTEXT, USER_ADDRESS, CannotOpen, Vault, WrongKeys

log = structlog.get_logger()

LETTERS = "letters"
"""The name of the lease for letters."""


class LettersWork(Batches):
    """The letters that wait, to subscribers and to the newsroom."""

    name = LETTERS
    group = LETTERS
    _query = sa.select(Delivery.id, Delivery).where(THESE).order_by(Delivery.id)
    grows = True

    def __init__(
        self,
        database: Database,
        vault: Vault,
        newsletters: Mapping[str, Newsletter],
        links: Links,
        renderer: Renderer,
        signers: Mapping[str, Signer],
    ) -> None:
        super().__init__(database)
        self._vault = vault
        self._newsletters = newsletters
        self._links = links
        self._renderer = renderer
        self._signers = signers

    def begin(self, now: dt.datetime, gate: Gate) -> bool:
        """Name what a dead sender left uncertain, and settle what is not to be sent."""
        self._gate = gate
        with self._database.write() as session:
            ledger.recover(session, ledger.LETTERS, now)
            ledger.give_up(session, ledger.LETTERS, now)
            ledger.exclude_unwanted_letters(session, now)
        return False

    def size(self) -> int:
        """How many letters are still open."""
        with self._database.read() as session:
            return ledger.waiting(session, ledger.LETTERS)

    def end(self, now: dt.datetime, stopped: str | None) -> None:  # noqa: ARG002 -- a letter cannot be paused.
        """Settle the letters to people who left meanwhile; one that was not sent waits for the next run."""
        with self._database.write() as session:
            ledger.exclude_unwanted_letters(session, now)
            self._leave_the_rest(session, now)

    def _which(self) -> ledger.Which:
        return ledger.LETTERS

    def _copy(self, session: Session, row: sa.Row[*tuple[Any, ...]]) -> Copy | Outcome:
        delivery: Delivery = row[1]
        newsletter = self._newsletters.get(delivery.newsletter)
        if newsletter is None:
            return Outcome(DeliveryState.EXCLUDED, f"the newsletter {delivery.newsletter!r} is no longer declared")
        try:
            found = self._recipient(session, delivery)
            if found is None:
                return Outcome(DeliveryState.EXCLUDED, "there is nobody any more to send it to")
            address = envelope_address(found)
            mailing = self._mailing(delivery, newsletter, found)
        except BadTemplate as error:
            # It is ours to mend, and the reader's letter waits so long.
            log.error("a letter waits for its template", letter=delivery.letter, why=str(error))
            return Outcome(DeliveryState.DEFERRED, str(error), Scope.MESSAGE)
        except WrongKeys as error:
            raise NotSendable((str(error),)) from error
        except (CannotOpen, NotSendable) as error:
            return Outcome(DeliveryState.REJECTED, f"the letter cannot be made: {error}")
        except idna.IDNAError:
            return Outcome(DeliveryState.REJECTED, BAD_DOMAIN)
        return Copy(
            delivery.id,
            delivery.attempts,
            provider_of(address),
            Envelope(
                return_path(newsletter, self._links.key, delivery.public_id),
                address,
                mailing.size,
                delivery.public_id.hex(),
            ),
            mailing.copy(address, delivery.public_id, NOBODY),
        )

    def _mailing(self, delivery: Delivery, newsletter: Newsletter, address: str) -> Mailing:
        sealed, signer = delivery.context_sealed, self._signers.get(newsletter.slug)
        said = json.loads(self._vault.open(sealed, DELIVERY_CONTEXT, delivery.public_id)) if sealed else {}
        if delivery.letter == TEST:
            rendered = Rendered(said["subject"], said["text"], said["html"])
            return issue_mailing(
                newsletter,
                rendered,
                self._links,
                week="test",
                made_at=delivery.created_at,
                by_hand=True,
                signer=signer,
            )
        rendered = self._renderer.letter(
            delivery.letter,
            {
                "newsletter_title": newsletter.title,
                "language": newsletter.language,
                "direction": newsletter.direction,
                "publisher": newsletter.publisher,
                "hours": CONFIRM_WITHIN // dt.timedelta(hours=1),
                **said,
                **({"never_url": self._never_url(address, newsletter.language)} if said.get("never_url") else {}),
            },
        )
        return letter_mailing(
            newsletter,
            rendered,
            self._links,
            made_at=delivery.created_at,
            signer=signer,
            is_reply=ANSWERS_MAIL in said,
        )

    def _never_url(self, address: str, language: str) -> str:
        """The link by which somebody forbids all mail. Where the letter was asked for, not every spelling was known.

        It names no newsletter, so it says in which language its page speaks.
        """
        parsed = parse_address(address)
        if not isinstance(parsed, Address):
            raise CannotOpen("what was sealed is no address")
        hashes = self._vault.blind_index(parsed.identity), self._vault.suppression_hash(parsed.identity)
        return self._links.never(*hashes, mailbox_hash_of(self._vault, parsed), language)

    def _recipient(self, session: Session, delivery: Delivery) -> str | None:
        if delivery.user_id is not None:
            user = session.get(User, delivery.user_id)
            sealed = user.address_sealed if user else None
            return self._vault.open(sealed, USER_ADDRESS, user.public_id) if user and sealed else None
        if delivery.subscriber_id is None:
            return None
        address = address_of(session, self._vault, delivery.subscriber_id)
        return None if address is None or self._is_suppressed(session, delivery, address) else address

    def _is_suppressed(self, session: Session, delivery: Delivery, address: str) -> bool:
        parsed = parse_address(address)
        if not isinstance(parsed, Address):
            return True
        reason = reason_for(session, self._vault.suppression_hash(parsed.identity))
        if reason is None or delivery.letter != CONFIRM:
            return reason is not None
        # The letter that asks whether they want to come back is the one way to (N-23).
        asked = sa.select(Subscription.method).where(Subscription.id == delivery.subscription_id)
        return not can_come_back(reason, session.scalar(asked) or "")
