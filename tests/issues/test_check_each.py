"""Each check with what makes it speak and what does not; on SQLite, with the real templates."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from digest.issues.checks import Examined, examine, scored_as
from digest.issues.codes import CHECKS, FINAL
from digest.issues.outcomes import Finding
from digest.mail.kinds import ORDINARY
from digest.mail.render import UNSUBSCRIBE_SLOT, IssueView, Renderer
from digest.models import Issue, IssueState, Item, Link, MailScore, Post
from subscribers.db import Database
from tests.issues.newsroom import BASE_URL, DAY, HOUR, TEMPLATES, THURSDAY, TROUBLE, House, make_newsletter, templates

LONG = "Villagers win access to the records of the river"


@pytest.fixture
def house(sqlite_database: Database) -> House:
    house = House(sqlite_database)
    house.well()
    return house


def examined(house: House, issue_id: int, renderer: Renderer | None = None) -> Examined:
    with house.database.read() as session:
        return examine(session, issue_id, house.newsletter, renderer or templates(), base_url=BASE_URL)


def found(house: House, issue_id: int, *codes: str) -> list[Finding]:
    return [one for one in examined(house, issue_id).findings if not codes or one.code in codes]


def levels(house: House, issue_id: int) -> list[tuple[str, str]]:
    return [(one.level, one.code) for one in examined(house, issue_id).findings]


def test_an_ordinary_issue_passes_every_check(house: House) -> None:
    said = examined(house, house.draft().issue_id)
    assert said.findings == ()
    # What nobody has asked is not known to be fine.
    assert [check.codes[0] for check in CHECKS if check not in said.passed] == ["link-dead"]
    for address in said.addresses:
        answered(house, address, "fine")
    assert examined(house, house.draft().issue_id).passed == CHECKS


def test_every_code_belongs_to_one_check() -> None:
    codes = [code for check in CHECKS for code in check.codes]
    assert len(codes) == len(set(codes))
    assert set(codes) >= FINAL - {""}


def test_every_finding_has_a_code_that_is_known(house: House) -> None:
    issue_id = house.draft().issue_id
    house.set(issue_id, subject="RE: BREAKING!!! NEWS =?utf-8?q?x?=" + "x" * 50, preheader="", introduction="TK")
    with house.database.write() as session:
        session.execute(sa.update(Item).values(summary="", headline="XXX"))
        session.execute(sa.update(Post).values(withdrawn_at=THURSDAY, image_url="https://evil.example/a.jpg"))
    codes = {code for check in CHECKS for code in check.codes}
    said = found(house, issue_id)
    assert len(said) > 10
    for one in said:
        assert one.code in codes
        assert one.matters
        assert one.key.startswith(f"{one.code}-")
    assert len({(one.key, one.where) for one in said}) == len(said)


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("POLICE SEARCH THE FLAT", "spam-capitals"),
        ("Police search!! the flat", "spam-marks"),
        ("Half of it for $$$", "spam-marks"),
        ("Re: what you asked", "spam-reply"),
        ("FWD: news", "spam-reply"),
        ("AW: Nachricht", "spam-reply"),
        ("=?utf-8?q?x=0D=0ABcc=3A_e=40x?=", "spam-encoded"),
        ("Half ?= =? of it", "spam-encoded"),
        ("Fr\u200bee press", "spam-hidden"),
    ],
)
def test_a_subject_that_looks_like_junk_is_to_be_looked_at(house: House, subject: str, code: str) -> None:
    issue_id = house.draft().issue_id
    house.set(issue_id, subject=subject)
    assert ("warns", code) in levels(house, issue_id)


@pytest.mark.parametrize(
    "subject",
    [
        "NATO, OSCE and RFE/RL",
        "Why? A reporter asks",
        "What now?!",
        "Regional courts: what changes",
        "ترفندهای تازه برای فیلترشکن‌ها: چه باید دانست؟",
        "Забастовки и один приговор",
        "A 👩‍💻 and a ❤️ for the press",
        "The “Re” in reform",
    ],
)
def test_an_ordinary_subject_does_not(house: House, subject: str) -> None:
    issue_id = house.draft().issue_id
    house.set(issue_id, subject=subject)
    assert levels(house, issue_id) == []


def test_two_stories_with_one_link_block_and_those_alike_warn(house: House) -> None:
    house.post(LONG, link="https://news.example/x", ago=DAY)
    house.post("Something else altogether is told here", link="https://news.example/x#top", ago=DAY * 2)
    house.post("Villagers win access to records of the river", ago=DAY * 3)
    said = found(house, house.draft().issue_id)
    assert [(one.level, one.code) for one in said] == [("blocks", "twice-link"), ("warns", "twice-nearly")]
    assert not said[0].is_final


def test_stories_that_go_on_are_not_the_same(house: House) -> None:
    house.post("Day 12 of the hunger strike in the capital", ago=DAY)
    house.post("Day 13 of the hunger strike in the capital", ago=DAY * 2)
    house.post("Court in Minsk jails a reporter", ago=DAY)
    house.post("Court in Minsk frees a reporter", ago=DAY * 2)
    assert levels(house, house.draft().issue_id) == []


def _past(house: House, headline: str, week: str = "2026-W45", link: str = "", **more: object) -> int:
    """A story that an issue had which has gone out."""
    at = THURSDAY - 14 * DAY
    post_id = house.post(headline, ago=15 * DAY, **({"link": link} if link else {}))
    with house.database.write() as session:
        issue = Issue(newsletter="watchdog", week=week, state=IssueState.SENT, created_at=at, frozen_at=at, send_at=at)
        issue.window_start, issue.window_end = at - 7 * DAY, at
        for name, value in more.items():
            setattr(issue, name, value)
        session.add(issue)
        session.flush()
        session.add(Item(issue_id=issue.id, post_id=post_id, position=0, headline=headline))
    return post_id


def test_what_readers_have_had_blocks(house: House) -> None:
    _past(house, LONG, link="https://news.example/had.html")
    house.post("Quite another headline for the same page", link="https://news.example/had.html")
    (one,) = found(house, house.draft().issue_id)
    assert (one.level, one.code, one.is_final) == ("blocks", "earlier-post", False)
    assert "issue of 2026-W45" in one.why


def test_a_headline_that_readers_have_had_is_to_be_looked_at(house: House) -> None:
    _past(house, LONG)
    house.post("Villagers win access to records of the river")
    (one,) = found(house, house.draft().issue_id)
    assert (one.level, one.code) == ("warns", "earlier-headline")


@pytest.mark.parametrize(
    "more",
    [
        {"newsletter": "another"},
        {"frozen_at": None, "state": IssueState.CANCELLED},
        {"week": "2026-W20"},
        {"week": "2026-W48"},
    ],
)
def test_what_was_never_sent_or_long_ago_or_to_others_was_not_had(house: House, more: dict[str, Any]) -> None:
    _past(house, LONG, link="https://news.example/had.html", **more)
    house.post("Villagers win access to records of the river", link="https://news.example/had.html")
    assert levels(house, house.draft().issue_id) == []


def test_a_story_in_another_script_than_its_language_is_to_be_looked_at(house: House) -> None:
    words: dict[str, Any] = {
        "title": "دادگاه فعالیت یک شبکه را متوقف کرد",
        "summary": "دادگاه در پایتخت رأی داد و شبکه بسته شد.",
    }
    wrong, right = house.post(**words, language="en"), house.post(**words, language="fa", ago=DAY * 2)
    house.change_post(right, title="پلیس خانه یک فعال را گشت")
    issue_id = house.draft().issue_id
    (one,) = found(house, issue_id)
    assert (one.level, one.code) == ("warns", "script")
    assert one.field == f"story-{next(item.id for item in house.items(issue_id) if item.post_id == wrong)}"


def test_a_lead_s_picture_needs_words(house: House) -> None:
    lead = house.post("The newest story of all", ago=HOUR, image_url="https://news.example/a.jpg")
    issue_id = house.draft().issue_id
    assert levels(house, issue_id) == [("warns", "alt-missing")]
    house.change_post(lead, image_alt="A courtroom")
    assert levels(house, issue_id) == []


@pytest.mark.parametrize(
    ("link", "fix"),
    [
        ("https://news.example/a?utm_source=x&b=1&utm_medium=y", "Link to https://news.example/a?b=1."),
        ("https://news.example/a?fbclid=x", "Link to https://news.example/a."),
        ("https://bit.ly/3x", "Link to the page that it leads to."),
        ("https://news.example/a?id=utm_source", ""),
        ("https://habit.ly/a", ""),
    ],
)
def test_a_link_that_counts_is_to_be_looked_at(house: House, link: str, fix: str) -> None:
    house.post("A story with a link of its own", link=link)
    said = found(house, house.draft().issue_id, "link-tracked")
    assert [(one.level, one.fix) for one in said] == ([("warns", fix)] if fix else [])


def answered(house: House, address: str, outcome: str, **more: object) -> None:
    row = {"digest": hashlib.sha256(address.encode()).digest(), "wanted_at": THURSDAY, "checked_at": THURSDAY}
    with house.database.write() as session:
        session.add(Link(address=address, outcome=outcome, **(row | {"reason": "It said so.", "final": ""} | more)))


@pytest.mark.parametrize(
    ("outcome", "level"),
    [("dead", "blocks"), ("unreachable", "warns"), ("moved", "warns"), ("fine", ""), ("unasked", "")],
)
def test_a_link_is_told_as_it_answered(house: House, outcome: str, level: str) -> None:
    link = "https://news.example/a/77.html"
    house.post("A story with a link of its own", link=link, ago=HOUR)
    issue_id = house.draft().issue_id
    before = examined(house, issue_id).asked
    answered(house, link, outcome, final="https://news.example/b/77.html")
    said = examined(house, issue_id)
    assert [(one.level, one.code) for one in said.findings] == ([(level, f"link-{outcome}")] if level else [])
    assert (before.unknown, said.asked.unknown) == (before.links, before.links - 1)
    for one in said.findings:
        assert "news.example/a/77.html" in one.why
        assert one.where == "story 1: A story with a link of its own"
        assert [remedy.step for remedy in one.remedies] == (
            [f"items/{one.field.removeprefix('story-')}/link"] if outcome == "moved" else []
        )
    assert said.asked.unasked == (("news.example",) if outcome == "unasked" else ())


def test_a_dead_link_inside_a_story_is_told_with_its_story(house: House) -> None:
    body = '<p>What was said, <a href="https://news.example/papers?a=1&amp;b=2">in papers</a>.</p>'
    house.post("A story with papers", body=body, ago=HOUR)
    issue_id = house.draft().issue_id
    answered(house, "https://news.example/papers?a=1&b=2", "dead")
    (one,) = found(house, issue_id)
    assert (one.code, one.where, one.remedies) == ("link-dead", "story 1: A story with papers", ())


def test_the_key_of_a_dead_link_is_the_link_s(house: House) -> None:
    link = "https://news.example/a/77.html"
    post_id = house.post("A story with a link of its own", link=link, ago=HOUR)
    issue_id = house.draft().issue_id
    answered(house, link, "dead")
    answered(house, f"{link}?2", "dead")
    (first,) = found(house, issue_id)
    with house.database.write() as session:
        session.execute(sa.update(Link).values(checked_at=THURSDAY + HOUR, reason="It says 410."))
        session.execute(sa.update(Item).where(Item.post_id == post_id).values(headline="Another headline"))
    (second,) = found(house, issue_id)
    house.change_post(post_id, link=f"{link}?2")
    (third,) = found(house, issue_id)
    assert first.key == second.key != third.key


def test_a_spam_filter_s_opinion_is_told_where_there_is_one(house: House) -> None:
    issue_id = house.draft().issue_id
    digest = scored_as(examined(house, issue_id).renderings[ORDINARY])
    with house.database.write() as session:
        session.add(MailScore(digest=digest, at=THURSDAY, score=1.0, required=5.0, said=""))
    assert levels(house, issue_id) == []
    with house.database.write() as session:
        session.execute(sa.update(MailScore).values(score=5.5, said="3.0 SUBJ_ALL_CAPS Subject\n2.5 X y"))
    (one,) = found(house, issue_id)
    assert (one.level, one.code) == ("warns", "spam-score")
    assert "would call it spam: 5.5 points of 5" in one.why
    assert "SUBJ_ALL_CAPS" in one.why
    # Another mail was not scored yet.
    house.set(issue_id, subject="Another subject")
    assert levels(house, issue_id) == []


def palette(tmp_path: Path, **changes: str) -> Renderer:
    """The real templates with other colours."""
    folder = tmp_path / "_base"
    folder.mkdir(exist_ok=True)
    text = (TEMPLATES / "_base" / "palette.mjml").read_text(encoding="utf-8")
    for old, new in changes.items():
        text = text.replace(f"#{old}", f"#{new}")
    (folder / "palette.mjml").write_text(text, encoding="utf-8")
    return Renderer([tmp_path, TEMPLATES])


def test_colours_that_cannot_be_read_block_in_our_own_palettes(house: House, tmp_path: Path) -> None:
    issue_id = house.draft().issue_id
    pale = examined(house, issue_id, palette(tmp_path, **{"5c564c": "b0aaa0"})).findings
    assert {(one.level, one.code) for one in pale} == {("blocks", "contrast-light"), ("warns", "contrast-inverted")}
    dim = examined(house, issue_id, palette(tmp_path, b3aca0="4b4740")).findings
    assert {(one.level, one.code) for one in dim} == {("blocks", "contrast-dark")}
    assert all(not one.is_final for one in (*pale, *dim))


class Mended(Renderer):
    """The real templates, and then somebody's hand in the HTML."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__([TEMPLATES])
        self.old, self.new = old, new

    def renderings(self, view: IssueView):
        made = super().renderings(view)
        assert self.old in next(iter(made.values())).html
        return {kind: replace(one, html=one.html.replace(self.old, self.new)) for kind, one in made.items()}


@pytest.mark.parametrize(
    ("old", "new", "code", "level"),
    [
        ("<h1 ", '<h1 data-x="x" ', "", ""),
        ('lang="en"', 'lang="de"', "language", "blocks"),
        ('dir="ltr"', 'dir="rtl"', "direction", "blocks"),
        ('lang="en"', "", "F-49", "blocks"),
        ("<h2", "<h4", "F-49", "blocks"),
        ("<h1", "<h2", "F-49", "blocks"),
        ("</body>", '<img src="https://x.example/p.gif" alt="" width="1" height="1" /></body>', "F-41", "blocks"),
        ("</body>", '<img src="https://x.example/p.gif" alt="" /></body>', "F-40", "blocks"),
        ("</body>", '<img src="https://digest.example/p.gif" /></body>', "F-49", "blocks"),
        ("</body>", '<p style="display:grid">Side by side</p></body>', "css-unknown", "warns"),
        (UNSUBSCRIBE_SLOT, "https://digest.example/", "F-44", "blocks"),
        ("</body>", "x" * 90_000 + "</body>", "F-43", "blocks"),
    ],
)
def test_what_a_template_does_wrong_is_found(house: House, old: str, new: str, code: str, level: str) -> None:
    issue_id = house.draft().issue_id
    said = examined(house, issue_id, Mended(old, new)).findings
    assert ((level, code) in [(one.level, one.code) for one in said]) if code else said == ()


def test_in_a_right_to_left_issue_nothing_runs_the_other_way(house: House) -> None:
    house.newsletter = make_newsletter(language="fa", timezone="Asia/Tehran")
    with house.database.write() as session:
        session.execute(sa.update(Post).values(language="en"))
    issue_id = house.draft().issue_id
    assert levels(house, issue_id) == []
    said = examined(house, issue_id, Mended("<body", '<body data-x="direction: ltr"')).findings
    assert [(one.level, one.code) for one in said] == [("blocks", "direction")]


def test_a_story_without_an_own_picture_host_is_told(house: House) -> None:
    house.post("A picture from elsewhere", image_url="https://tracker.example/a.jpg", source=TROUBLE)
    assert levels(house, house.draft().issue_id) == [("warns", "picture-foreign")]


def test_findings_lead_to_their_field(house: House) -> None:
    issue_id = house.draft().issue_id
    item = house.items(issue_id)[1]
    house.set(issue_id, subject="", introduction="TK")
    with house.database.write() as session:
        session.execute(sa.update(Item).where(Item.id == item.id).values(summary="", headline="XXX"))
    assert {one.field for one in found(house, issue_id)} == {
        "subject",
        "introduction",
        f"headline-{item.id}",
        f"summary-{item.id}",
    }


def test_looking_changes_nothing(house: House) -> None:
    issue_id = house.draft().issue_id
    before = [house.issue(issue_id).revision, len(house.log())]
    examined(house, issue_id)
    assert [house.issue(issue_id).revision, len(house.log())] == before
