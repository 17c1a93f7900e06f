"""A small newsroom for tests: keys, a vault, a newsletter, readers, and an issue that is ready to leave."""

from __future__ import annotations

import datetime as dt
import random
import secrets
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from digest.mail.issue_work import IssueWork, Mailings
from digest.mail.ledger import Equation, equation
from digest.mail.outbox import LedgerOutbox
from digest.mail.personal import LedgerRecords
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Renderer
from digest.mail.send import Engine
from digest.mail.slices import Slice
from digest.mail.smtp import Limits
from digest.models import Delivery, DeliveryState, Issue, IssueState
from digest.queue.sending import Kit
from digest.queue.worker import Worker
from digest.settings import Mailbox, Newsletter, Smtp, Source
from subscribers.db import Database
from subscribers.newsletters import NewsletterInfo
from subscribers.roll import audience
from subscribers.service import Entered, Service
from subscribers.tokens import Links
from subscribers.vault import Keys, Vault, make_keys

NOW = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)
BASE_URL = "https://digest.example.org"
LIMITS = Limits(connect=5, mail=5, rcpt=5, data=5, body=5, dot=0.5)


@cache
def keys() -> Keys:
    """One set of keys a run: making them is slow."""
    return make_keys()


def newsletter() -> Newsletter:
    """The newsletter that tests send."""
    return Newsletter(
        slug="watchdog",
        title="Watchdog",
        timezone=ZoneInfo("Europe/Prague"),
        sender=Mailbox(name="Watchdog", address="digest@example.org"),
        publisher="The Newsroom, 1 Main Street, Example City",
        sources=(Source(feed="https://www.example.org/api/"),),
    )


@dataclass
class House:
    """What a test needs to send an issue."""

    database: Database
    now: dt.datetime = NOW
    vault: Vault = field(init=False)
    links: Links = field(init=False)
    service: Service = field(init=False)
    newsletter: Newsletter = field(default_factory=newsletter)

    def __post_init__(self) -> None:
        self.vault = Vault(self.database, keys())
        self.links = Links(BASE_URL, keys().token)
        paper = self.newsletter
        info = NewsletterInfo(
            paper.slug, paper.title, "", paper.language, paper.direction, paper.publisher, "Send me the digest."
        )
        self.service = Service(
            self.database,
            self.vault,
            keys(),
            LedgerOutbox(self.vault),
            BASE_URL,
            {paper.slug: info},
            LedgerRecords(),
        )

    def readers(self, count: int) -> list[str]:
        """Enter so many confirmed readers; returns their addresses."""
        addresses = [f"reader-{number}@readers.example" for number in range(1, count + 1)]
        for address in addresses:
            entered = self.service.enter("watchdog", address, "a test reader", self.now)
            assert isinstance(entered, Entered)
        return addresses

    def leave(self, number: int) -> None:
        """Let the reader of that number (from 1) leave by their own link."""
        with self.database.read() as session:
            delivery = session.scalars(sa.select(Delivery.subscription_id).order_by(Delivery.id)).all()[number - 1]
            from subscribers.models import Subscription

            public_id = session.scalars(sa.select(Subscription.public_id).where(Subscription.id == delivery)).one()
        self.service.leave(self.links.leave(public_id).rpartition("/")[2], self.now)

    def issue(self, week: str = "2026-W47", slice_of: int = 2000) -> int:
        """Freeze an issue for everybody who confirmed, in slices of so many; returns its id."""
        with self.database.write() as session:
            issue = Issue(
                newsletter="watchdog",
                week=week,
                window_start=self.now - dt.timedelta(days=7),
                window_end=self.now,
                send_at=self.now,
                state=IssueState.SENDING,
                created_at=self.now,
                frozen_at=self.now,
                touched=True,
                rendered_subject="The week",
                rendered_text=f"The week\n\nLeave: {UNSUBSCRIBE_SLOT}\nChoose: {MANAGE_SLOT}\n",
                rendered_html=f'<h1>The week</h1><a href="{UNSUBSCRIBE_SLOT}">x</a><a href="{MANAGE_SLOT}">y</a>',
            )
            session.add(issue)
            session.flush()
            rows = session.execute(audience("watchdog", self.now)).all()
            issue.audience = len(rows)
            session.add_all(
                Delivery(
                    letter="issue",
                    newsletter="watchdog",
                    issue_id=issue.id,
                    subscriber_id=person,
                    subscription_id=subscription,
                    format=wanted_format,
                    is_neutral=is_neutral,
                    slice=place // slice_of,
                    public_id=secrets.token_bytes(16),
                    state=DeliveryState.QUEUED,
                    due_at=self.now,
                    created_at=self.now,
                    give_up_at=self.now + dt.timedelta(hours=72),
                )
                for place, (subscription, person, wanted_format, is_neutral) in enumerate(rows)
            )
            return issue.id

    def work(self, issue_id: int, number: int = 0) -> IssueWork:
        """A slice of the issue as a piece of work for a sender."""
        return IssueWork(self.database, self.vault, self.newsletter, Mailings(self.links, {}), Slice(issue_id, number))

    def engine(self, port: int, connections: int = 3, owner: str = "test") -> Engine:
        """A sender to the relay on that port."""
        return Engine(
            self.database,
            Smtp(url=f"smtp+plain://127.0.0.1:{port}", connections=connections),
            clock=lambda: self.now,
            limits=LIMITS,
            owner=owner,
            rng=random.Random(1),
        )

    def worker(self, port: int, *, dot: float = 0.5) -> Worker:
        """A whole worker with that relay; `dot` is how long it waits for a final answer."""
        engine = self.engine(port)
        return Worker(self.kit, replace(engine, limits=replace(engine.limits, dot=dot)))

    @property
    def kit(self) -> Kit:
        """What a sender makes its pieces of work with."""
        renderer = Renderer([Path(__file__).resolve().parents[1] / "templates" / "email"])
        return Kit(self.database, self.vault, renderer, self.links, {self.newsletter.slug: self.newsletter})

    def books(self, issue_id: int) -> Equation:
        """The issue's equation."""
        with self.database.read() as session:
            return equation(session, issue_id)

    def states(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        with self.database.read() as session:
            rows = session.execute(sa.select(Delivery.state, sa.func.count()).group_by(Delivery.state))
            return {state.value: count for state, count in rows}

    def issue_state(self, issue_id: int) -> IssueState:
        """Where the issue stands."""
        with self.database.read() as session:
            return session.get_one(Issue, issue_id).state
