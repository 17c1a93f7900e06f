"""An issue's rows as the values of its templates."""

import datetime as dt

import pytest
import sqlalchemy as sa

from digest.issues.view import foreign_image, is_home, view
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, IssueView, stories_of
from digest.models import Issue, Item, Post
from tests.issues.newsroom import BASE_URL, DAY, MAIN, House, make_newsletter


def shown(house: House, issue_id: int) -> IssueView:
    with house.database.read() as session:
        return view(session, issue_id, house.newsletter, BASE_URL)


def test_an_issue_has_its_lead_sections_and_addresses(thursday: House) -> None:
    found = shown(thursday, thursday.draft().issue_id)
    assert (found.name, found.date) == ("watchdog/2026-W47", dt.date(2026, 11, 19))
    assert found.lead is not None
    assert found.lead.headline == "A court orders a station off the air"
    assert [(section.title, len(section.stories)) for section in found.sections] == [
        ("", 2),
        ("Journalists in Trouble", 1),
    ]
    assert [story.headline.split()[0] for story in stories_of(found)] == ["A", "Parliament", "Police", "A"]
    assert found.archive_url == "https://digest.example/issues/watchdog/2026-W47"
    assert found.home_url == "https://digest.example/"


def test_dates_are_in_the_newsletter_s_own_zone(house: House) -> None:
    house.newsletter = make_newsletter(timezone="Asia/Tehran")
    house.post(published_at=dt.datetime(2026, 11, 18, 21, 0, tzinfo=dt.UTC))
    lead = shown(house, house.draft().issue_id).lead
    assert lead is not None
    assert lead.published.isoformat() == "2026-11-19T00:30:00+03:30"


def test_an_editor_s_words_for_a_picture_stand_in_the_mail_and_else_the_post_s(house: House) -> None:
    house.post("With words", image_url="https://news.example/1.jpg", image_alt="The post's words")
    made = house.draft()
    lead = shown(house, made.issue_id).lead
    assert lead is not None
    assert lead.image_alt == "The post's words"
    with house.database.write() as session:
        session.execute(sa.update(Item).values(image_alt="The editor's @@words"))
    lead = shown(house, made.issue_id).lead
    assert lead is not None
    assert lead.image_alt == "The editor's @ @words"


def test_what_is_left_out_is_not_shown_and_an_empty_section_goes(thursday: House) -> None:
    made = thursday.draft()
    first, *_, last = thursday.items(made.issue_id)
    with thursday.database.write() as session:
        session.execute(sa.update(Item).where(Item.id.in_([first.id, last.id])).values(included=False))
    found = shown(thursday, made.issue_id)
    assert found.lead is not None
    assert found.lead.headline == "Parliament passes a law on foreign agents"
    assert [section.title for section in found.sections] == [""]


def test_without_a_story_in_the_main_part_there_is_no_lead(house: House) -> None:
    house.post(source="https://news.example/trouble")
    found = shown(house, house.draft().issue_id)
    assert found.lead is None
    assert [section.title for section in found.sections] == ["Journalists in Trouble"]


def test_an_empty_issue_has_nothing(house: House) -> None:
    assert stories_of(shown(house, house.draft().issue_id)) == ()


def test_an_issue_that_is_not_there_is_an_error(house: House) -> None:
    with pytest.raises(sa.exc.NoResultFound):
        shown(house, 999)


def test_a_reader_s_place_cannot_be_forged_by_a_post(house: House) -> None:
    for number, slot in enumerate([UNSUBSCRIBE_SLOT, MANAGE_SLOT, "@@UNSUB@@UNSUBSCRIBE@@SCRIBE@@", "@" + MANAGE_SLOT]):
        house.post(
            f"Click {slot}",
            summary=f"{slot} and more",
            byline=slot,
            link=f"https://news.example/{number}/{slot}",
            image_url=f"https://news.example/{slot}.jpg",
            image_alt=slot,
            image_caption=slot,
        )
    made = house.draft()
    house.set(made.issue_id, introduction=f"Hello {UNSUBSCRIBE_SLOT}", subject=MANAGE_SLOT, preheader=MANAGE_SLOT)
    text = repr(shown(house, made.issue_id))
    assert UNSUBSCRIBE_SLOT not in text
    assert MANAGE_SLOT not in text


def test_the_introduction_comes_in_paragraphs(thursday: House) -> None:
    made = thursday.draft()
    thursday.set(made.issue_id, introduction="One.\n\nTwo.")
    assert shown(thursday, made.issue_id).introduction == ("One.", "Two.")


def test_only_another_language_is_named(house: House) -> None:
    house.post(language="en", ago=DAY)
    house.post(language="fa", ago=2 * DAY)
    assert [story.language for story in stories_of(shown(house, house.draft().issue_id))] == ["", "fa"]


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("", None),
        ("https://news.example/a.jpg", None),
        ("https://gdb.news.example/a.jpg", None),
        ("https://pixel.tracker.example.net/a.gif", "pixel.tracker.example.net"),
        ("https://notnews.example/a.jpg", "notnews.example"),
        ("data:image/png;base64,AAAA", "no host"),
        ("//cdn.example.net/x.png", "cdn.example.net"),
    ],
)
def test_a_picture_comes_from_the_site_s_own_hosts_alone(image: str, host: str | None) -> None:
    assert foreign_image(Post(link="https://news.example/a", image_url=image), make_newsletter()) == host


def test_a_foreign_picture_is_left_out_with_its_words(house: House) -> None:
    words = {"image_alt": "A street", "image_caption": "The street at noon"}
    house.post(ago=DAY, image_url="https://cdn.example.net/a.jpg", **words)
    house.post(ago=2 * DAY, image_url="https://gdb.news.example/b.jpg", **words)
    without, with_one = stories_of(shown(house, house.draft().issue_id))
    assert (without.image_url, without.image_alt, without.image_caption) == ("", "", "")
    assert with_one.image_url == "https://gdb.news.example/b.jpg"
    assert (with_one.image_alt, with_one.image_caption) == ("A street", "The street at noon")


@pytest.mark.parametrize(
    ("link", "image", "foreign"),
    [
        ("https://www.bbc.co.uk/a", "https://ichef.bbc.co.uk/a.jpg", False),
        ("https://www.bbc.co.uk/a", "https://tracker.co.uk/a.jpg", True),
        ("http://127.0.0.1:8001/a", "http://127.0.0.1:8001/a.jpg", False),
        ("http://127.0.0.1:8001/a", "http://9.0.0.1/a.jpg", True),
        ("https://www.svoboda.org/a", "https://gdb.svoboda.org/a.jpg", False),
        ("http://localhost:1/a", "http://localhost:1/a.jpg", False),
        ("https://blog.github.io/a", "https://tracker.github.io/a.jpg", True),
        ("https://one.s3.amazonaws.com/a", "https://two.s3.amazonaws.com/a.jpg", True),
        ("https://news.example/a", "http://news.example/a.jpg", True),
    ],
)
def test_a_site_is_told_from_its_host(link: str, image: str, foreign: bool) -> None:
    paper = make_newsletter(sources=[{"feed": link}])
    assert is_home(image, paper) is not foreign


def test_a_feed_cannot_bring_its_own_site_into_the_mail() -> None:
    """Once the link of a post made its host a home, so that any feed could put a pixel into every mail."""
    post = Post(link="https://evil.example/p", image_url="https://evil.example/open.gif?i=9")
    assert foreign_image(post, make_newsletter()) == "evil.example"
    assert foreign_image(post, make_newsletter(image_hosts=["evil.example"])) is None


def test_the_sources_hosts_are_ours_too() -> None:
    post = Post(link="https://elsewhere.example.org/a", image_url="https://img.news.example/a.jpg")
    assert foreign_image(post, make_newsletter()) is None
    assert MAIN.startswith("https://news.example/")


def test_the_view_reads_what_stands_now(thursday: House) -> None:
    made = thursday.draft()
    with thursday.database.write() as session:
        before = session.get_one(Issue, made.issue_id).subject
        session.execute(sa.update(Issue).values(subject="New").execution_options(synchronize_session=False))
        assert view(session, made.issue_id, thursday.newsletter, BASE_URL).subject == "New" != before
