"""What there is to send, loaded a handful at a time: an issue's deliveries, or the letters that wait.

Addresses are opened just before they are needed, at most a batch of them at once, and leave this process in an
envelope only (E-08).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import idna
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, undefer

from digest.mail import ledger
from digest.mail.compose import NOBODY, Mailing, NotSendable, issue_mailing, letter_mailing
from digest.mail.outbox import TEST
from digest.mail.providers import Provider, provider_of
from digest.mail.render import BadTemplate, Rendered, Renderer
from digest.mail.replies import Outcome, Scope
from digest.mail.smtp import Envelope
from digest.models import Delivery, DeliveryState, Issue, IssueState, User
from digest.settings import Newsletter
from subscribers.db import Database
from subscribers.forms import Address, parse_address
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.purging import CONFIRM_WITHIN
from subscribers.roll import address_of
from subscribers.tokens import Links
from subscribers.vault import DELIVERY_CONTEXT, SUBSCRIBER_ADDRESS, USER_ADDRESS, CannotOpen, Vault, WrongKeys

log = structlog.get_logger()

IDS = 5000
BATCH = 64
LOW = 32
"""When so few copies are at hand, more are loaded: not more than a hundred addresses are open at once (E-08)."""
MEND_WITHIN = dt.timedelta(minutes=10)
"""When a letter is tried again whose template could not be used."""
BAD_DOMAIN = "the address cannot be used: its domain is no name (IDNA)"
"""What the library says would name the domain, and this is stored."""
LETTERS = "letters"
"""The name of the lease for letters; an issue's is `issue <id>`."""


@dataclass(frozen=True)
class Copy:
    """One message for one person, ready for an envelope."""

    delivery_id: int
    attempts: int
    provider: Provider
    envelope: Envelope
    segments: Callable[[], Iterable[bytes]] = field(repr=False)


class Work(Protocol):
    """What the sender asks of a piece of work."""

    name: str
    """The lease that only one sender has at a time."""

    def begin(self, now: dt.datetime) -> bool:
        """Bring the books in order before the first copy; returns whether nobody has an outcome yet.

        Raises `NotSendable`.
        """

    def size(self) -> int:
        """About how many copies are due."""

    async def next(self, now: dt.datetime) -> Copy | None:
        """The next copy that is due; none when there is no more."""

    @property
    def grows(self) -> bool:
        """Whether more may come in while a run lasts."""

    def look_again(self) -> None:
        """Let `next` look for what has come in since."""

    def at_hand(self) -> Copy | None:
        """The next copy if it can be had without waiting."""

    def give_back(self, copy: Copy) -> None:
        """Take back a copy that was not tried."""

    def end(self, now: dt.datetime, stopped: str | None) -> None:
        """Bring the books in order after the last copy; `stopped` says why a person has to look."""


class _Batches:
    """The part of `Work` that is the same for issues and letters: copies by the handful."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready: deque[Copy] = deque()
        self._ids: deque[int] = deque()
        self._last = 0
        self._done = False
        self._loading: asyncio.Task[None] | None = None
        self._now: dt.datetime | None = None

    async def next(self, now: dt.datetime) -> Copy | None:
        """The next copy that is due; none when there is no more."""
        self._now = now
        while not self._ready and not (self._done and self._loading is None):
            loading = self._load_more(now)
            await asyncio.wait([loading])
            loading.result()
        return self.at_hand()

    def at_hand(self) -> Copy | None:
        """The next copy if it can be had without waiting; more are loaded before they run out."""
        if len(self._ready) <= LOW and not self._done and self._now:
            self._load_more(self._now)
        return self._ready.popleft() if self._ready else None

    def give_back(self, copy: Copy) -> None:
        """Take back a copy that was not tried."""
        self._ready.appendleft(copy)

    def look_again(self) -> None:
        """Let `next` look for what has come in since: its numbers are higher than those that were read."""
        self._done = False

    def _load_more(self, now: dt.datetime) -> asyncio.Task[None]:
        """The load that is under way, or a new one."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._fill(now))
            # One that fails with nobody waiting is tried again by whoever comes next, and fails for them.
            self._loading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._loading

    async def _fill(self, now: dt.datetime) -> None:
        try:
            await asyncio.to_thread(self._load, now)
        finally:
            self._loading = None

    def _load(self, now: dt.datetime) -> None:
        with self._database.read() as session:
            wanted = self._next_ids(session, now)
            rows = session.execute(self._query().where(Delivery.id.in_(wanted)).order_by(Delivery.id)).all()
            copies = [(row[0], self._made(session, row)) for row in rows]
        retry_at = now + MEND_WITHIN
        refused = [
            ledger.Result(which, copy, retry_at, committed=False) for which, copy in copies if isinstance(copy, Outcome)
        ]
        if refused:
            with self._database.write() as session:
                ledger.settle(session, refused, now)
        self._ready.extend(copy for _, copy in copies if isinstance(copy, Copy))

    def _next_ids(self, session: Session, now: dt.datetime) -> list[int]:
        """The next handful. Numbers are read by the thousand: finding where to go on costs as much as reading them."""
        if not self._ids:
            due = sa.select(Delivery.id).where(*self._which(), *ledger.due(now), Delivery.id > self._last)
            self._ids.extend(session.scalars(due.order_by(Delivery.id).limit(IDS)))
            self._done = len(self._ids) < IDS
        handful = [self._ids.popleft() for _ in range(min(BATCH, len(self._ids)))]
        self._last = handful[-1] if handful else self._last
        self._done = self._done and not self._ids
        return handful

    def _made(self, session: Session, row: sa.Row[*tuple[Any, ...]]) -> Copy | Outcome:
        try:
            return self._copy(session, row)
        except (NotSendable, WrongKeys):
            raise
        except Exception as error:
            log.exception("a copy cannot be made", delivery=row[0])
            return Outcome(DeliveryState.DEFERRED, f"it cannot be made: {type(error).__name__}", Scope.MESSAGE)

    def _which(self) -> tuple[sa.ColumnElement[bool], ...]:
        raise NotImplementedError

    def _query(self) -> sa.Select[*tuple[Any, ...]]:
        raise NotImplementedError

    def _copy(self, session: Session, row: sa.Row[*tuple[Any, ...]]) -> Copy | Outcome:
        raise NotImplementedError


class IssueWork(_Batches):
    """The deliveries of one issue."""

    grows = False

    def __init__(self, database: Database, vault: Vault, newsletter: Newsletter, links: Links, issue_id: int) -> None:
        super().__init__(database)
        self._vault = vault
        self._newsletter = newsletter
        self._links = links
        self._issue_id = issue_id
        self._mailing: Mailing | None = None
        self.name = f"issue {issue_id}"

    def begin(self, now: dt.datetime) -> bool:
        """Name what a dead sender left uncertain, settle what is not to be sent, and make the message."""
        with self._database.write() as session:
            ledger.recover(session, issue_id=self._issue_id, now=now)
            issue = session.get_one(
                Issue,
                self._issue_id,
                options=[undefer(Issue.rendered_subject), undefer(Issue.rendered_text), undefer(Issue.rendered_html)],
            )
            if issue.state is IssueState.CANCELLED:
                ledger.exclude_all(session, self._issue_id, "the issue was cancelled", now)
                return False
            ledger.give_up(session, issue_id=self._issue_id, now=now)
            ledger.exclude_gone(session, self._issue_id, now)
            books = ledger.equation(session, self._issue_id)
        if issue.rendered_html is None or issue.frozen_at is None:
            raise NotSendable(("it was not published",))
        self._mailing = issue_mailing(
            self._newsletter,
            Rendered(issue.rendered_subject or "", issue.rendered_text or "", issue.rendered_html),
            self._links,
            week=issue.week,
            made_at=issue.frozen_at,
            by_hand=issue.touched or issue.approved_by is not None,
        )
        return books.accepted + books.rejected + books.unknown == 0

    def size(self) -> int:
        """How many deliveries are still open."""
        with self._database.read() as session:
            books = ledger.equation(session, self._issue_id)
        return books.queued + books.deferred

    def end(self, now: dt.datetime, stopped: str | None) -> None:
        """Close the books where nothing is left; pause the issue where a person has to look."""
        with self._database.write() as session:
            ledger.exclude_gone(session, self._issue_id, now)
            ledger.give_up(session, issue_id=self._issue_id, now=now)
            if not ledger.finish(session, self._issue_id, now) and stopped:
                ledger.pause(session, self._issue_id, stopped, now)

    def _which(self) -> tuple[sa.ColumnElement[bool], ...]:
        sending = sa.exists().where(Issue.id == self._issue_id, Issue.state == IssueState.SENDING)
        return (Delivery.issue_id == self._issue_id, ledger.IS_ISSUE, sending)

    def _query(self) -> sa.Select[*tuple[Any, ...]]:
        return (
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
        )

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
            Envelope(self._newsletter.sender.address, address, mailing.size),
            lambda: mailing.copy(address, delivery, subscription),
        )


class LettersWork(_Batches):
    """The letters that wait, to subscribers and to the newsroom."""

    name = LETTERS
    grows = True

    def __init__(
        self,
        database: Database,
        vault: Vault,
        newsletters: Mapping[str, Newsletter],
        links: Links,
        renderer: Renderer,
    ) -> None:
        super().__init__(database)
        self._vault = vault
        self._newsletters = newsletters
        self._links = links
        self._renderer = renderer

    def begin(self, now: dt.datetime) -> bool:
        """Name what a dead sender left uncertain, and settle what is not to be sent."""
        with self._database.write() as session:
            ledger.recover(session, issue_id=None, now=now)
            ledger.give_up(session, issue_id=None, now=now)
            ledger.exclude_unwanted_letters(session, now)
        return False

    def size(self) -> int:
        """How many letters are still open."""
        query = sa.select(sa.func.count()).where(ledger.IS_LETTER, Delivery.state.in_(ledger.OPEN))
        with self._database.read() as session:
            return session.scalar(query) or 0

    def end(self, now: dt.datetime, stopped: str | None) -> None:  # noqa: ARG002 -- a letter cannot be paused.
        """Settle the letters to people who left meanwhile; one that was not sent waits for the next run."""
        with self._database.write() as session:
            ledger.exclude_unwanted_letters(session, now)

    def _which(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (ledger.IS_LETTER,)

    def _query(self) -> sa.Select[*tuple[Any, ...]]:
        return sa.select(Delivery.id, Delivery)

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
            mailing = self._mailing(delivery, newsletter)
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
            Envelope(newsletter.sender.address, address, mailing.size),
            lambda: mailing.copy(address, delivery.public_id, NOBODY),
        )

    def _mailing(self, delivery: Delivery, newsletter: Newsletter) -> Mailing:
        sealed = delivery.context_sealed
        said = json.loads(self._vault.open(sealed, DELIVERY_CONTEXT, delivery.public_id)) if sealed else {}
        if delivery.letter == TEST:
            rendered = Rendered(said["subject"], said["text"], said["html"])
            return issue_mailing(
                newsletter, rendered, self._links, week="test", made_at=delivery.created_at, by_hand=True
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
            },
        )
        return letter_mailing(newsletter, rendered, self._links, made_at=delivery.created_at)

    def _recipient(self, session: Session, delivery: Delivery) -> str | None:
        if delivery.user_id is not None:
            user = session.get(User, delivery.user_id)
            sealed = user.address_sealed if user else None
            return self._vault.open(sealed, USER_ADDRESS, user.public_id) if user and sealed else None
        if delivery.subscriber_id is None:
            return None
        address = address_of(session, self._vault, delivery.subscriber_id)
        return None if address is None or self._is_suppressed(session, address) else address

    def _is_suppressed(self, session: Session, address: str) -> bool:
        parsed = parse_address(address)
        if not isinstance(parsed, Address):
            return True
        return session.get(Suppression, self._vault.suppression_hash(parsed.identity)) is not None


def envelope_address(address: str) -> str:
    """The address for an envelope: its domain always as an A-label (S-42). Raises `idna.IDNAError`."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode('ascii')}"
