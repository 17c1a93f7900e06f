"""A real house with everything that happens to readers: two newsletters, mail that came in, pages, keys that rotate."""

from __future__ import annotations

import csv
import datetime as dt
import json
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from digest.inbound.applying import Applier
from digest.inbound.notice import ByDelivery, BySubscription, Notice, Sign, Who
from digest.mail import steps
from digest.mail.leases import Claim, take_lease
from digest.mail.outbox import LedgerOutbox
from digest.mail.personal import LedgerRecords
from digest.models import Delivery
from subscribers import rotation
from subscribers.budgets import FormRules
from subscribers.db import Database
from subscribers.guard import Guard
from subscribers.keys import KeysFile, read_keys, write_keys
from subscribers.models import FreshLink, Subscriber, Subscription
from subscribers.networks import prefix_of
from subscribers.service import Service
from subscribers.tokens import button_token, fill_stamp, hash_token, new_token
from subscribers.transfer.bringing import Bringing, Request
from subscribers.transfer.leaving import export
from subscribers.transfer.plan import Fate
from subscribers.vault import DELIVERY_CONTEXT, SUBSCRIBER_ADDRESS, Vault
from tests.house import BASE_URL, House, keys
from tests.subscribers.house import NEGAH, WATCH, make_app

PAPERS = {"watchdog": replace(WATCH, slug="watchdog"), "negah": NEGAH}
MANY = FormRules(per_hour=10**6, prefix_per_hour=10**6, domain_per_hour=10**6)
HOUR = dt.timedelta(hours=1)


class World:
    """What the rules of the machine do, done for real."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.ticks = 0.0
        self.path = folder / "digest.keys"
        write_keys(self.path, keys())
        self.house = House(database)
        self.house.vault = Vault(database, keys(), KeysFile(self.path), lambda: self.ticks)
        self.house.service = self.service = Service(
            database, self.vault, keys(), LedgerOutbox(self.vault), BASE_URL, PAPERS, LedgerRecords()
        )
        self.seen = 0
        """The newest letter that was looked at."""
        self._doors = ExitStack()

    @property
    def now(self) -> dt.datetime:
        return self.house.now

    @property
    def vault(self) -> Vault:
        return self.house.vault

    def turn(self, by: dt.timedelta) -> None:
        self.house.now += by
        self.ticks += by.total_seconds()

    @cached_property
    def client(self) -> TestClient[Litestar]:
        """The readers' pages."""
        app = make_app(self.service, lambda: self.now, Guard(self.database, keys().token, MANY))  # type: ignore[arg-type]
        return self._doors.enter_context(TestClient(app, base_url=BASE_URL))

    def close(self) -> None:
        self._doors.close()

    # What the public sees.

    def press_form(self, address: str, newsletter: str) -> tuple[int, str]:
        filled = fill_stamp(keys().token, self.now - HOUR, prefix_of("testclient"))
        said = {"email": address, "newsletter": newsletter, "filled": filled}
        answer = self.client.post("/subscribe", data=said)
        return answer.status_code, answer.text

    def press_api(self, address: str, newsletter: str) -> tuple[int, str]:
        answer = self.client.post("/api/subscribe", json={"email": address, "newsletter": newsletter})
        return answer.status_code, answer.text

    def press_manage(self, public_id: bytes) -> tuple[int, str]:
        token = self.service.links.manage(public_id).rpartition("/")[2]
        answer = self.client.post(f"/manage/{token}", data={"proof": button_token(keys().token, token)})
        return answer.status_code, answer.text

    def press_leave(self, public_id: bytes) -> tuple[int, str]:
        token = self.service.links.leave_token(public_id)
        answer = self.client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
        return answer.status_code, answer.text

    # What stands in the database.

    def new_letters(self) -> list[tuple[Delivery, dict[str, str]]]:
        """The letters since the last look, with what they say."""
        query = sa.select(Delivery).where(Delivery.id > self.seen, Delivery.letter != "issue").order_by(Delivery.id)
        with self.database.read() as session:
            found = session.scalars(query).all()
        self.seen = max([self.seen, *(one.id for one in found)])
        opened = (
            self.vault.open(one.context_sealed, DELIVERY_CONTEXT, one.public_id) if one.context_sealed else "{}"
            for one in found
        )
        return [(one, json.loads(text)) for one, text in zip(found, opened, strict=True)]

    def addresses(self) -> dict[int, str]:
        """Everybody's address, opened, by their number."""
        columns = Subscriber.id, Subscriber.address_sealed, Subscriber.public_id
        with self.database.read() as session:
            rows = session.execute(sa.select(*columns)).all()
        return {number: self.vault.open(sealed, SUBSCRIBER_ADDRESS, row) for number, sealed, row in rows}

    def number_of(self, address: str) -> int | None:
        return next((number for number, one in self.addresses().items() if one == address), None)

    def public_id(self, address: str, newsletter: str) -> bytes | None:
        query = sa.select(Subscription.public_id).where(
            Subscription.subscriber_id == self.number_of(address), Subscription.newsletter == newsletter
        )
        with self.database.read() as session:
            return session.scalar(query)

    def fresh_link(self, address: str) -> str | None:
        """A link that was sent to somebody a moment ago; none for nobody."""
        number, token = self.number_of(address), new_token()
        if number is not None:
            with self.database.write() as session:
                session.add(FreshLink(token_hash=hash_token(token), subscriber_id=number, until=self.now + HOUR))
        return token if number is not None else None

    # What others do.

    def told(self, sign: Sign, who: Who) -> str:
        """A notice about somebody's mail comes in; returns what was done."""
        with self.database.write() as session:
            return Applier(self.vault).apply(session, Notice(sign, who, "5.1.1", "user-unknown"), self.now)

    def told_of_copy(self, sign: Sign, delivery: bytes) -> str:
        return self.told(sign, ByDelivery(delivery))

    def told_to_leave(self, public_id: bytes) -> str:
        return self.told(Sign.LEAVE, BySubscription(public_id))

    def bring(self, address: str, newsletter: str, status: str) -> Fate:
        """Import a list with one row."""
        path = self.folder / "list.csv"
        path.write_text(f"email,status\n{address},{status}\n")
        wanted = Request(path, newsletter, "en", "Signed a list.", {"email": "email", "status": "status"})
        tally = Bringing(self.database, self.vault, wanted, self.now).bring(self.folder / "rejected.csv")
        (fate,) = [fate for fate, count in tally.fates.items() if count]
        return fate

    def export(self, newsletter: str) -> list[str]:
        path = self.folder / "out.csv"
        export(self.database, self.vault, newsletter, path)
        with path.open(newline="") as file:
            found = sorted(row["email"] for row in csv.DictReader(file))
        path.unlink()
        return found

    def intended(self, issue_id: int) -> set[int]:
        """Whose copies of an issue would leave this moment: what the ledger says just before the final dot."""
        claim = Claim(f"issue {issue_id}", "machine")
        assert take_lease(self.database, claim, self.now, HOUR)
        with self.database.write() as session:
            query = sa.select(Delivery.id).where(Delivery.issue_id == issue_id)
            gone = steps.intend(session.connection(), session.scalars(query).all(), claim, self.now)
            session.rollback()
        return gone

    # The keys.

    @property
    def is_rotating(self) -> bool:
        return read_keys(self.path).previous is not None

    def rotate(self) -> None:
        """Begin: a new pair and a new index key in the file; this process sees it when it next looks."""
        rotation.begin(self.database, self.path, self.now)

    def go_on(self) -> None:
        rotation.reseal(self.database, read_keys(self.path), lambda: self.now)

    def finish(self) -> None:
        """Go on to the end, with the waiting."""
        self.turn(rotation.DRAIN)
        self.vault.prepare(0)
        self.go_on()
        rotation.close(self.database, read_keys(self.path), self.now)
        self.go_on()
        self.turn(rotation.DRAIN)
        rotation.forget(self.database, self.now)
        assert rotation.finish(self.database, self.path, self.now)
