"""The file of all that is held on a person: all of it, nobody else's, and without the address (O-56)."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import sqlalchemy as sa
from litestar.testing import TestClient

from digest.mail.personal import LedgerRecords
from digest.models import Bounce, Delivery, DeliveryState
from subscribers.db import Database
from subscribers.models import Subscriber, Subscription
from subscribers.pages import Pages
from subscribers.personal import NOTES, personal_file
from subscribers.suppression import BOUNCE, suppress
from subscribers.web import public_routes
from tests.house import House
from tests.subscribers.house import TEMPLATES, WATCH, Clock
from tests.subscribers.test_erasing import link
from tests.subscribers.test_manage import proof

RECORDS = LedgerRecords()


def file_of(house: House, number: int = 1) -> dict[str, Any]:
    with house.database.read() as session:
        person = session.get_one(Subscriber, number)
        text = personal_file(session, RECORDS, person, house.service.newsletters, house.now)
    read: dict[str, Any] = json.loads(text)
    return read


def test_it_has_every_row_that_is_theirs_and_nobody_else_s(database: Database) -> None:
    house = House(database)
    house.readers(2)
    house.issue()
    with database.write() as session:
        for number in (1, 2):
            session.add(Bounce(subscriber_id=number, at=house.now, sign="soft", status=f"4.2.{number}", reason="full"))
        session.execute(
            sa.update(Delivery)
            .where(Delivery.subscriber_id == 1)
            .values(state=DeliveryState.ACCEPTED, settled_at=house.now, reply="250 2.0.0 ok", attempts=1)
        )
    link(house)
    data = file_of(house)
    [subscription] = data["subscriptions"]
    assert (subscription["newsletter"], subscription["title"], subscription["state"]) == (
        "watchdog",
        "Watchdog",
        "confirmed",
    )
    assert (subscription["came_by"], subscription["evidence_of_consent"]) == ("hand", "a test reader")
    assert [(one["letter"], one["week"], one["state"]) for one in data["letters"]] == [
        ("issue", "2026-W47", "accepted"),
        ("manage", None, "queued"),
    ]
    assert data["letters"][0]["mail_servers_answer"] == "250 2.0.0 ok"
    assert [one["status"] for one in data["returned_mail"]] == ["4.2.1"]
    assert data["never_to_be_mailed"] is None
    assert data["links_to_this_page"] == {
        "asked_for_at": ["2026-11-19T09:00:00+00:00"],
        "good_until": ["2026-11-19T10:00:00+00:00"],
    }


def test_what_a_form_kept_as_evidence_is_shown_in_its_parts(database: Database) -> None:
    house = House(database)
    house.readers(1)
    with database.write() as session:
        session.execute(sa.update(Subscription).values(evidence='{"wording": "abc"}', newsletter="gone"))
    [subscription] = file_of(house)["subscriptions"]
    assert (subscription["evidence_of_consent"], subscription["title"]) == ({"wording": "abc"}, None)


def test_a_suppression_is_in_it(database: Database) -> None:
    house = House(database)
    house.readers(1)
    with database.write() as session:
        suppress(session, house.vault, 1, BOUNCE, house.now)
    assert file_of(house)["never_to_be_mailed"] == {"reason": "bounce", "month": "2026-11"}


def test_what_was_another_s_under_the_same_number_is_not(sqlite_database: Database) -> None:
    """Once SQLite gave the number of a deleted last row again, and the ledger has no foreign key."""
    house = House(sqlite_database)
    house.readers(1)
    house.issue()
    with sqlite_database.write() as session:
        session.add(Bounce(subscriber_id=1, at=house.now, sign="hard"))
        session.execute(sa.delete(Subscriber))
    house.now += dt.timedelta(days=1)
    house.readers(1)
    with sqlite_database.write() as session:
        for table in (Delivery, Bounce):
            session.execute(sa.update(table).values(subscriber_id=2))
    data = file_of(house, 2)
    assert (data["letters"], data["returned_mail"]) == ([], [])


def test_no_address_and_no_secret_is_in_it(database: Database) -> None:
    house = House(database)
    house.readers(1)
    house.issue()
    token = link(house)
    text = json.dumps(file_of(house))
    assert "reader-1" not in text
    assert token not in text
    assert not re.search(r"[0-9a-f]{32}", text)


def test_a_button_downloads_it_and_no_link_does(sqlite_database: Database) -> None:
    from litestar import Litestar

    house = House(sqlite_database)
    house.readers(1)
    path = f"/mine/{link(house)}"
    pages = Pages([TEMPLATES], site_title=WATCH.title)
    app = Litestar(public_routes(house.service, pages, Clock(house.now)), openapi_config=None)
    with TestClient(app) as client:
        answer = client.post(f"{path}/export", data={"proof": proof(client.get(path).text)})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["content-disposition"] == 'attachment; filename="what-is-held-on-me.json"'
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["notes"] == list(NOTES)
        assert [one["letter"] for one in answer.json()["letters"]] == ["manage"]
        assert client.get(f"{path}/export").status_code == 405
        erase = {"proof": proof(client.get(f"{path}/erase").text), "mark": "drop"}
        assert "is deleted too" in client.post(f"{path}/erase", data=erase).text
        for gone in ("", "/erase"):
            assert "worn off" in client.get(path + gone).text
            assert client.post(path + gone, data=erase).status_code in (404, 422)
        assert client.post(f"{path}/export", data=erase).status_code in (404, 422)
    with sqlite_database.read() as session:
        assert session.scalars(sa.select(Delivery.subscriber_id)).all() == [None]
