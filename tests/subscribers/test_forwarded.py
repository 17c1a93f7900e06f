"""Who has a forwarded issue learns nothing of its reader: the links' pages do not depend on what is stored (O-20)."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from subscribers.db import Database
from subscribers.models import Subscriber, Subscription
from subscribers.service import Service
from subscribers.tokens import Purpose, button_token, subscription_token
from tests.subscribers.house import BASE_URL, Clock

STATES = ("reads", "paused", "left", "never", "waits", "gone")
Client = TestClient[Litestar]


@pytest.fixture
def public_ids(sqlite_service: Service, sqlite_database: Database, clock: Clock) -> dict[str, bytes]:
    """The public id of a subscription in each state."""
    service, ids = sqlite_service, dict[str, bytes]()
    for state in STATES:
        address = f"{state}@example.org"
        if state == "waits":
            service.join("negah", address, clock())
        else:
            service.enter("negah", address, "Signed a list.", clock())
        with sqlite_database.read() as session:
            ids[state] = (
                session.scalars(sa.select(Subscription.public_id).order_by(Subscription.id.desc())).first() or b""
            )
    service.leave(service.links.leave_token(ids["left"]), clock())
    with sqlite_database.write() as session:
        session.execute(
            sa.update(Subscription)
            .where(Subscription.public_id == ids["paused"])
            .values(paused_until=clock() + dt.timedelta(days=9))
        )
        one = session.scalar(sa.select(Subscriber).join(Subscription).where(Subscription.public_id == ids["never"]))
        assert one
        assert one.suppression_hash
        never = service.links.never(one.blind_index, one.suppression_hash).rpartition("/")[2]
        gone = sa.select(Subscription.subscriber_id).where(Subscription.public_id == ids["gone"])
        session.execute(sa.delete(Subscriber).where(Subscriber.id.in_(gone)))
    service.never(never, clock())
    return ids


def plain(service: Service, public_id: bytes, text: str) -> str:
    """A page without what differs from link to link in any case."""
    tokens = [subscription_token(service.token_key, one, public_id) for one in (Purpose.LEAVE, Purpose.MANAGE)]
    for token in (*tokens, *(button_token(service.token_key, one) for one in tokens)):
        text = text.replace(token, "…")
    return text


@pytest.mark.parametrize("language", ["", "?lang=fa"])
@pytest.mark.parametrize(
    ("purpose", "fields"),
    [
        (Purpose.LEAVE, None),
        (Purpose.LEAVE, {"other": "field"}),
        (Purpose.LEAVE, {"List-Unsubscribe": "One-Click"}),
        (Purpose.MANAGE, None),
        (Purpose.MANAGE, {"proof": "forged"}),
        (Purpose.MANAGE, {"proof": "…"}),
    ],
)
def test_every_state_has_the_same_page(
    client: Client,
    sqlite_service: Service,
    public_ids: dict[str, bytes],
    language: str,
    purpose: Purpose,
    fields: dict[str, str] | None,
) -> None:
    answers = set[tuple[int, str]]()
    for public_id in public_ids.values():
        token = subscription_token(sqlite_service.token_key, purpose, public_id)
        path = f"{BASE_URL}/{'u' if purpose is Purpose.LEAVE else 'manage'}/{token}{language}"
        if fields is None:
            answer = client.get(path)
        else:
            proof = button_token(sqlite_service.token_key, token)
            answer = client.post(path, data={name: value.replace("…", proof) for name, value in fields.items()})
        answers.add((answer.status_code, plain(sqlite_service, public_id, answer.text)))
    assert len(answers) == 1
    assert ('<html lang="fa"' in answers.pop()[1]) is bool(language)


def test_the_links_in_mail_say_the_language_that_the_page_cannot_know(sqlite_service: Service, client: Client) -> None:
    links = sqlite_service.links
    public_id = b"i" * 16
    for link in (links.leave_with(links.leave_token(public_id), "fa"), links.manage(public_id, "fa")):
        page = client.get(link).text
        assert '<html lang="fa" dir="rtl"' in page
        assert "?lang=fa" in page or "/u/" in link
