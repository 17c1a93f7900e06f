"""What readers chose is what they are sent: six kinds of readers, one issue, and none while they pause."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from digest.issues.resolve import resend
from digest.mail import strict
from digest.mail.compose import NOBODY, Mailing, NotSendable, issue_mailing
from digest.mail.course import Run
from digest.mail.issue_work import editions_of, wire_digest
from digest.mail.kept import keep, rendering
from digest.mail.kinds import KINDS, ORDINARY, Kind
from digest.mail.render import IssueView, Rendered, Renderer
from digest.mail.wire import Slot
from digest.models import Delivery, DeliveryState, Issue
from subscribers.db import Database
from subscribers.lifecycle import Format
from subscribers.models import Subscription
from subscribers.tokens import Links
from tests.house import House, newsletter
from tests.mail.render_samples import ENGLISH, PERSIAN, TEMPLATES
from tests.smtp_server import HangUp, Moment, ScriptedServer

DAY = dt.timedelta(days=1)
LINKS = Links("https://digest.example.org", b"k" * 32)
RENDERER = Renderer([TEMPLATES])


def view(sample: IssueView = ENGLISH) -> IssueView:
    assert sample.lead
    return replace(sample, lead=replace(sample.lead, body="<p>The whole story, and no summary of it.</p>"))


def frozen(house: House, sample: IssueView = ENGLISH) -> int:
    """An issue that is rendered for everybody and frozen for who is a reader now."""
    issue_id = house.issue()
    with house.database.write() as session:
        keep(session.get_one(Issue, issue_id), RENDERER.renderings(view(sample)))
    return issue_id


def choose(house: House, number: int, **values: object) -> None:
    """Let the reader of that number (from 1) choose."""
    with house.database.write() as session:
        mine = sa.select(Subscription.id).order_by(Subscription.id).offset(number - 1).limit(1).scalar_subquery()
        session.execute(sa.update(Subscription).where(Subscription.id == mine).values(**values))


def one_of_each(house: House) -> dict[Kind, str]:
    """A reader of each kind."""
    readers = house.readers(len(KINDS))
    for number, kind in enumerate(KINDS, 1):
        choose(house, number, format=kind.format, is_neutral=kind.is_neutral)
    return dict(zip(KINDS, readers, strict=True))


def send(house: House, issue_id: int, relay: ScriptedServer) -> Run | None:
    return asyncio.run(house.engine(relay.port).run(house.work(issue_id), asyncio.Event()))


def got(relay: ScriptedServer, address: str) -> EmailMessage:
    """The one message that the relay was given for somebody."""
    (raw,) = (caught.body for caught in relay.caught if address in caught.recipients[0])
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_each_reader_is_sent_what_they_chose(database: Database) -> None:
    house = House(database)
    readers = one_of_each(house)
    issue_id = frozen(house)
    with ScriptedServer() as relay:
        run = send(house, issue_id, relay)
    assert run is not None
    assert run.counts == {DeliveryState.ACCEPTED: len(KINDS)}
    assert house.books(issue_id).closes
    for kind, reader in readers.items():
        message = got(relay, reader)
        assert message["Subject"] == ("Weekly digest" if kind.is_neutral else ENGLISH.subject)
        assert message["From"] == "Watchdog <digest@example.org>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        types = [part.get_content_type() for part in message.walk()]
        alone = kind.format is Format.TEXT
        assert types == (["text/plain"] if alone else ["multipart/alternative", "text/plain", "text/html"])
        text = (message if alone else next(message.iter_parts())).get_content()
        assert ("The whole story" in text) is (kind.format is Format.FULL)
        assert text.startswith("Your weekly mail") is kind.is_neutral
        assert house.links.base_url + "/u/" in text


def test_a_reader_who_pauses_is_passed_by_and_comes_back(database: Database) -> None:
    house = House(database)
    house.readers(3)
    choose(house, 1, paused_until=house.now + DAY)
    choose(house, 2, paused_until=house.now)
    issue_id = frozen(house)
    with ScriptedServer() as relay:
        send(house, issue_id, relay)
    assert sorted(relay.accepted) == ["reader-2@readers.example", "reader-3@readers.example"]
    assert house.books(issue_id).audience == 2
    house.now += 7 * DAY
    frozen_again = house.issue("2026-W48")
    assert house.books(frozen_again).audience == 3


def test_who_pauses_after_the_freeze_is_excluded_and_a_change_of_format_is_for_the_next_issue(
    database: Database,
) -> None:
    house = House(database)
    readers = house.readers(2)
    issue_id = frozen(house)
    choose(house, 1, paused_until=house.now + DAY)
    choose(house, 2, format=Format.TEXT, is_neutral=True)
    with ScriptedServer() as relay:
        send(house, issue_id, relay)
    assert relay.accepted == [readers[1]]
    assert got(relay, readers[1])["Subject"] == ENGLISH.subject
    books = house.books(issue_id)
    assert (books.accepted, books.excluded, books.closes) == (1, 1, True)
    with database.read() as session:
        said = session.scalars(sa.select(Delivery.reply).where(Delivery.state == DeliveryState.EXCLUDED)).all()
    assert said == ["paused before it was sent"]


def test_a_resend_is_the_same_message_for_each_kind_whatever_its_reader_has_chosen_since(database: Database) -> None:
    house = House(database)
    one_of_each(house)
    issue_id = frozen(house)
    seen: dict[str, list[bytes]] = {}

    def silent(moment: Moment) -> HangUp | None:
        return HangUp() if moment.command == "DOT" and len(relay.caught) <= len(KINDS) else None

    with ScriptedServer(silent) as relay:
        for _ in range(2):
            asyncio.run(house.worker(relay.port).send_issue(issue_id, asyncio.Event()))
            for number in range(1, len(KINDS) + 1):
                choose(house, number, format=Format.FULL, is_neutral=False)
            with database.write() as session:
                resend(session, issue_id, newsletter=newsletter(), links=house.links, who="Ada", now=house.now)
    for caught in relay.caught:
        seen.setdefault(caught.recipients[0], []).append(caught.body)
    assert len(seen) == len(KINDS)
    assert [len(bodies) for bodies in seen.values()] == [2] * len(KINDS)
    assert all(first == second for first, second in seen.values())


def test_an_issue_that_was_not_rendered_for_a_kind_stops_and_sends_them_nothing_else(database: Database) -> None:
    house = House(database)
    house.readers(1)
    choose(house, 1, format=Format.FULL)
    issue_id = house.issue()
    with ScriptedServer() as relay:
        run = send(house, issue_id, relay)
    assert run is not None
    assert "not rendered for whole stories" in (run.stopped or "")
    assert relay.accepted == []


def test_the_row_keeps_what_each_kind_is_sent(sqlite_database: Database) -> None:
    house = House(sqlite_database)
    issue_id = frozen(house)
    made = RENDERER.renderings(view())
    assert len({(one.subject, one.text, one.html) for one in made.values()}) == len(made)
    with sqlite_database.read() as session:
        issue = session.get_one(Issue, issue_id)
        kept = {kind: rendering(issue, kind) for kind in KINDS}
    assert {kind: one for kind, one in kept.items() if kind in made} == made
    assert kept[Kind(Format.TEXT)] == replace(made[ORDINARY], html="")


def mailing(kind: Kind, sample: IssueView = ENGLISH) -> Mailing:
    issue = Issue(newsletter="watchdog", week="2026-W47", frozen_at=dt.datetime(2026, 11, 19, tzinfo=dt.UTC))
    issue.touched = True
    keep(issue, RENDERER.renderings(view(sample)))
    return editions_of(issue, newsletter(), LINKS, None)[kind]


@pytest.mark.parametrize("sample", [ENGLISH, PERSIAN], ids=lambda one: one.language)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_two_readers_of_a_kind_get_copies_that_differ_only_in_the_slots(kind: Kind, sample: IssueView) -> None:
    """F-05, F-41."""
    made = mailing(kind, sample)
    one, two = (made.copy(f"{n}@example.org", bytes([n]) * 16, bytes([n]) * 16) for n in (1, 2))
    assert all(a is b for a, b, part in zip(one, two, made.segments, strict=True) if isinstance(part, bytes))
    names = {part.name for part in made.segments if isinstance(part, Slot)}
    assert names == {"to", "message_id", "unsubscribe", "leave_page", "leave_token", "manage"}


def test_the_digest_speaks_of_every_kind(sqlite_database: Database) -> None:
    house = House(sqlite_database)
    issue_id = frozen(house)
    columns = [name for name in Issue.__table__.columns.keys() if name.startswith("rendered_")]  # noqa: SIM118 -- no dict
    with sqlite_database.read() as session:
        issue = session.get_one(Issue, issue_id)
        first = wire_digest(editions_of(issue, newsletter(), house.links, None))
        for name in columns:
            said = getattr(issue, name)
            setattr(issue, name, said.replace("Watchdog", "Watchdogs").replace("court", "courts") + "x")
            assert wire_digest(editions_of(issue, newsletter(), house.links, None)) != first
            setattr(issue, name, said)
        assert wire_digest(editions_of(issue, newsletter(), house.links, None)) == first
        session.rollback()
    assert len(columns) == 10


def test_the_strict_reader_tells_the_shapes_apart() -> None:
    text = b"".join(mailing(Kind(Format.TEXT)).copy("reader@example.org", NOBODY, NOBODY))
    both = b"".join(mailing(ORDINARY).copy("reader@example.org", NOBODY, NOBODY))
    names = {raw: [*email.message_from_bytes(raw).keys()] for raw in (text, both)}
    assert strict.problems(text, names[text], strict.TEXT_ALONE) == ()
    assert strict.problems(both, names[both]) == ()
    assert strict.problems(text, names[text])
    assert strict.problems(both, names[both], strict.TEXT_ALONE)
    for spoilt in (
        text.replace(b"Content-Type: text/plain", b"Content-Type: text/html"),
        text.replace(b"quoted-printable", b"8bit"),
        text.replace(b"=\r\n", b"=zz\r\n", 1),
        text + b"x" * 80 + b"\r\n",
    ):
        assert spoilt != text
        assert strict.problems(spoilt, names[text], strict.TEXT_ALONE)


def test_text_that_cannot_be_sent_makes_no_message() -> None:
    with pytest.raises(NotSendable, match="no place for manage"):
        issue_mailing(
            newsletter(),
            Rendered("S", "Leave: @@UNSUBSCRIBE@@", ""),
            LINKS,
            week="2026-W47",
            made_at=dt.datetime(2026, 11, 19, tzinfo=dt.UTC),
            by_hand=True,
        )
