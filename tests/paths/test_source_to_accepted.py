"""From a source to "accepted": the week's posts become an issue that every confirmed reader gets, and nobody else."""

import datetime as dt
import re
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.demo.catcher import Caught
from digest.issues import checks, control, edit
from digest.issues.draft import Drafted, draft
from digest.issues.outcomes import Done
from digest.issues.plan import tick
from digest.issues.publish import Published, publish
from digest.mail.issue_work import IssueWork, Mailings
from digest.mail.lanes import Lanes
from digest.mail.ledger import equation
from digest.mail.pace import Rates
from digest.mail.slices import Slice
from digest.mail.work import Gate
from digest.models import Issue, IssueState, Item, Post
from digest.web.accounts import add_user
from tests.newsroom import Newsroom, first_link, get, newsroom, post

WEDNESDAY = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
AFTER_CUTOFF = dt.datetime(2026, 11, 19, 5, 30, tzinfo=dt.UTC)
AT_THE_HOUR = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)


def drafted(room: Newsroom) -> Drafted:
    paper = room.house.newsletter("watchdog")
    reports = room.house.gather(paper, room.clock())
    assert [report.reason for report in reports] == [None, None]
    room.clock.now = AFTER_CUTOFF
    return draft(room.house.database, paper, room.clock())


def approve(room: Newsroom, issue_id: int) -> None:
    house, paper = room.house, room.house.newsletter("watchdog")
    with house.database.read() as session:
        findings = checks.check(session, issue_id, paper, house.renderer, room.base)
    with house.database.write() as session:
        done = control.approve(session, issue_id, who="editor", now=room.clock(), findings=findings)
    assert isinstance(done, Done)


def go_out(room: Newsroom, issue_id: int, *, at_once: bool = False) -> Published:
    house = room.house
    result = publish(
        house.database, issue_id, house.newsletter("watchdog"), house.renderer, room.base, room.clock(), at_once=at_once
    )
    assert isinstance(result, Published)
    return result


def test_a_thursday(tmp_path: Path, database_url: str) -> None:
    with newsroom(tmp_path, database_url, WEDNESDAY) as room:
        readers = [f"reader{number}@readers.example" for number in range(4)]
        for reader in readers:
            room.reader(reader)
        room.subscribe("never-confirmed@readers.example")
        room.send_letters()

        draft_one = drafted(room)
        assert (draft_one.created, draft_one.state) == (True, IssueState.DRAFT)
        assert draft_one.items == 9
        assert not draft(room.house.database, room.house.newsletter("watchdog"), room.clock()).created

        with room.house.database.write() as session:
            first = edit.items_of(session, draft_one.issue_id)[0]
            edit.edit_item(
                session,
                draft_one.issue_id,
                first.id,
                headline="A headline by the editor",
                who="editor",
                now=room.clock(),
            )
        approve(room, draft_one.issue_id)

        # One reader leaves between the approval and the hour, and one while it is being frozen.
        leaver = readers.pop()
        room.clock.now = AT_THE_HOUR
        frozen = go_out(room, draft_one.issue_id)
        assert frozen.audience == 4
        leave(room, leaver)
        room.send_issues()

        issues = [caught for caught in room.catcher.caught if caught.is_issue]
        assert Counter(caught.recipient for caught in issues) == Counter(readers)
        with room.house.database.read() as session:
            books = equation(session, draft_one.issue_id)
            assert (books.audience, books.accepted, books.excluded) == (4, 3, 1)
            assert books.closes
            assert session.get_one(Issue, draft_one.issue_id).state is IssueState.SENT

        look_at_the_copies(room, issues[0], issues[1])
        look_at_the_archive(room, draft_one.name, readers)


def leave(room: Newsroom, reader: str) -> None:
    """Leave by one click, as a mailbox provider does it for its user: RFC 8058."""
    work = IssueWork(
        room.house.database,
        room.house.vault,
        room.house.newsletter("watchdog"),
        Mailings(room.house.service.links, {}),
        Slice(1, 0),
    )
    work.begin(room.clock(), Gate(Lanes(1000), Rates()))
    # The link is the one that stands in the copy which this reader is about to get.
    copies = []
    while (copy := room.loop.run_until_complete(work.next(room.clock()))) is not None:
        copies.append(copy)
    (mine,) = [copy for copy in copies if copy.envelope.recipient == reader]
    link = re.search(rb"<(http://[^>]+/u/[^>]+)>", b"".join(mine.segments))
    assert link is not None
    assert get(link[1].decode())[0] == 200
    assert post(link[1].decode(), {"List-Unsubscribe": "One-Click"})[0] == 200


def look_at_the_copies(room: Newsroom, one: Caught, two: Caught) -> None:
    assert one.message["To"] == one.recipient
    assert one.message["Message-ID"] != two.message["Message-ID"]
    leave_link, manage_link = first_link(one, "/u/"), first_link(one, "/manage/")
    assert get(manage_link)[0] == 200
    assert one.recipient not in get(manage_link)[1]
    for kind in ("plain", "html"):
        mine = one.part(kind).replace(leave_link, "LEAVE").replace(manage_link, "MANAGE")
        theirs = two.part(kind).replace(first_link(two, "/u/"), "LEAVE").replace(first_link(two, "/manage/"), "MANAGE")
        assert mine == theirs
    headlines = room_headlines(room)
    text, html = one.part("plain"), one.part("html")
    assert all(headline in " ".join(text.split()) for headline in headlines)
    assert html.count("<h1") == 1
    assert "A headline by the editor" in html
    assert "Auto-Submitted" not in one.message


def room_headlines(room: Newsroom) -> list[str]:
    with room.house.database.read() as session:
        return list(session.scalars(sa.select(Item.headline).where(Item.included)))


def look_at_the_archive(room: Newsroom, name: str, readers: list[str]) -> None:
    status, page = get(f"{room.base}/issues/{name}")
    assert status == 200
    assert not re.search(r"/(u|manage)/[A-Za-z0-9_-]{43}|@@", page)
    assert not any(reader in page for reader in readers)
    assert name.partition("/")[2] in get(f"{room.base}/issues/")[1]
    assert f"/issues/{name}" in get(f"{room.base}/feed.xml")[1]


def test_the_planner_does_a_thursday_by_itself(tmp_path: Path, database_url: str) -> None:
    with newsroom(tmp_path, database_url, WEDNESDAY, unapproved="send") as room:
        room.reader("reader@readers.example")
        house, paper = room.house, room.house.newsletter("watchdog")
        for hour in range(48):
            room.clock.now = WEDNESDAY + dt.timedelta(hours=hour)
            tick(house.hands(), paper, room.clock())
            tick(house.hands(), paper, room.clock())
            room.send_issues()
        issues = [caught for caught in room.catcher.caught if caught.is_issue]
        assert [caught.recipient for caught in issues] == ["reader@readers.example"]
        # Nobody had a hand in it, and it says so (RFC 3834).
        assert issues[0].message["Auto-Submitted"] == "auto-generated"
        with house.database.read() as session:
            assert session.scalars(sa.select(Issue.finished_at)).one() == AT_THE_HOUR


def test_an_unapproved_issue_is_held_and_its_editors_are_reminded(tmp_path: Path, database_url: str) -> None:
    with newsroom(tmp_path, database_url, WEDNESDAY) as room:
        room.reader("reader@readers.example")
        house, paper = room.house, room.house.newsletter("watchdog")
        house.vault.prepare()
        with house.database.write() as session:
            add_user(session, house.vault, "maria", "a long pass phrase", "editor", "maria@desk.example", room.clock())
        for hour in range(60):
            room.clock.now = WEDNESDAY + dt.timedelta(hours=hour)
            tick(house.hands(), paper, room.clock())
            room.send_letters()
            room.send_issues()
        assert not [caught for caught in room.catcher.caught if caught.is_issue]
        letters = room.letters_to("maria@desk.example")
        subjects = [str(letter.message["Subject"]).partition(": ")[2] for letter in letters]
        waits, late = "watchdog/2026-W47 waits for approval", "watchdog/2026-W47 has not left"
        # Two hours before and at the hour; the alarm that it has not left; and when it became too late.
        assert subjects == [waits, waits, late, waits]
        assert all(f"{room.base}/desk/issues/watchdog/2026-W47" in letter.part("plain") for letter in letters)
        with house.database.read() as session:
            issue = session.scalars(sa.select(Issue).where(Issue.week == "2026-W47")).one()
        assert issue.state is IssueState.HELD
        assert "Approve it to send it all the same" in issue.hold_reason


@pytest.mark.parametrize("hours", [3, 11, 13])
def test_a_machine_that_was_off_at_the_hour(tmp_path: Path, sqlite_url: str, hours: int) -> None:
    with newsroom(tmp_path, sqlite_url, WEDNESDAY) as room:
        room.reader("reader@readers.example")
        found = drafted(room)
        approve(room, found.issue_id)
        room.clock.now = AT_THE_HOUR + dt.timedelta(hours=hours)
        tick(room.house.hands(), room.house.newsletter("watchdog"), room.clock())
        room.send_issues()
        sent = [caught for caught in room.catcher.caught if caught.is_issue]
        assert len(sent) == (1 if hours < 12 else 0)


def test_a_post_edited_or_withdrawn_at_its_source_is_noticed(tmp_path: Path, sqlite_url: str) -> None:
    with newsroom(tmp_path, sqlite_url, WEDNESDAY) as room:
        paper = room.house.newsletter("watchdog")
        room.house.gather(paper, room.clock())
        room.blog.edit(room.blog.numbers[0], title="Another headline")
        room.blog.withdraw(room.blog.numbers[1])
        room.clock.forward(hours=2)
        room.house.gather(paper, room.clock())
        with room.house.database.read() as session:
            posts = session.scalars(sa.select(Post)).all()
        assert [post.title for post in posts if post.edited_at] == ["Another headline"]
        assert len([post for post in posts if post.withdrawn_at]) == 1
