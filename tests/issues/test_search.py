"""Search finds what was said, on both databases the same, whatever is typed; and its index is what stands."""

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.folding import words
from digest.issues import control, edit
from digest.issues.draft import draft, redraft
from digest.issues.outcomes import Done
from digest.issues.publish import Published, publish
from digest.issues.search import MOST, PAGE, Found, Hit, search, years
from digest.issues.search_index import follow, index, rebuild
from digest.issues.search_terms import SNIPPET, Term, for_fts5, for_tsquery, marked, snippet, terms_of
from digest.models import Issue, IssueState, Item, Post, SearchEntry
from subscribers.db import Database
from tests.issues.newsroom import BASE_URL, DAY, MAIN, THURSDAY, TROUBLE, House, make_newsletter, templates

BY: dict[str, Any] = {"who": "Ada", "now": THURSDAY}


@pytest.fixture
def newsroom(house: House) -> House:
    """A newsroom whose index follows, with an ordinary week's draft."""
    follow(house.database)
    house.well()
    house.draft()
    return house


def find(house: House, text: str, **within: object) -> Found:
    with house.database.read() as session:
        return search(session, text, **within)  # type: ignore[arg-type]


def heads(found: Found) -> list[str]:
    return ["".join(text for text, _ in hit.head) for hit in found.hits]


def marks(hit: Hit) -> list[str]:
    return [text for text, is_marked in (*hit.head, *hit.body) if is_marked]


def the_issue(house: House) -> int:
    with house.database.read() as session:
        return session.scalars(sa.select(Issue.id)).one()


def write(house: House, **texts: str) -> None:
    with house.database.write() as session:
        assert isinstance(edit.edit_issue(session, the_issue(house), **(texts | BY)), Done)


def add(database: Database, week: str, stories: list[tuple[str, str]], **values: object) -> None:
    """An issue that was sent, with these headlines and summaries."""
    at = dt.datetime(2020, 1, 2, 9, tzinfo=dt.UTC)
    known: dict[str, object] = {"newsletter": "watchdog", "subject": "", "introduction": "", "state": IssueState.SENT}
    times = {"window_start": at, "window_end": at, "send_at": at, "created_at": at, "frozen_at": at}
    with database.write() as session:
        issue = Issue(week=week, **(known | times | values))
        session.add(issue)
        for place, (headline, summary) in enumerate(stories):
            post = Post(
                newsletter="watchdog",
                source_url=MAIN,
                identity=f"{week} {values} {place}",
                link="",
                title=headline,
                published_at=at,
                gathered_at=at,
                fingerprint="",
            )
            issue.items.append(Item(post=post, position=place, headline=headline, summary=summary))


# ---- what is found


def test_a_story_is_found_by_its_words_and_marked(newsroom: House) -> None:
    (hit,) = find(newsroom, "foreign agents").hits
    assert (hit.name, hit.state, hit.is_out, hit.is_public, hit.section, hit.is_lead) == (
        "watchdog/2026-W47",
        IssueState.DRAFT,
        False,
        False,
        "",
        False,
    )
    assert "".join(text for text, _ in hit.head) == "Parliament passes a law on foreign agents"
    assert marks(hit) == ["foreign", "agents"]
    assert hit.item_id is not None
    assert hit.send_at == dt.datetime(2026, 11, 19, 9, tzinfo=dt.UTC)


def test_the_place_is_told(newsroom: House) -> None:
    assert find(newsroom, "third week").hits[0].section == "Journalists in Trouble"
    (lead, subject) = find(newsroom, "court orders station").hits
    assert {lead.is_lead, subject.is_lead} == {True, False}
    assert {lead.item_id is None, subject.item_id is None} == {True, False}


def test_all_words_have_to_be_in_one_place_and_beginnings_will_do(newsroom: House) -> None:
    assert heads(find(newsroom, "parl foreign")) == ["Parliament passes a law on foreign agents"]
    assert find(newsroom, "parliament station").total == 0
    assert heads(find(newsroom, "activist polic")) == ["Police search the flat of an activist"]


def test_quotation_marks_mean_exactly_so(newsroom: House) -> None:
    assert heads(find(newsroom, '"the flat of"')) == ["Police search the flat of an activist"]
    assert find(newsroom, '"flat the"').total == 0
    assert find(newsroom, '"parl"').total == 0
    assert heads(find(newsroom, "“passes a law” agents")) == ["Parliament passes a law on foreign agents"]
    # Nobody has to close them.
    assert heads(find(newsroom, '"passes a law')) == ["Parliament passes a law on foreign agents"]


def test_the_headline_weighs_more_and_the_very_word_before_its_longer_ones(house: House) -> None:
    follow(house.database)
    add(
        house.database,
        "2020-W01",
        [
            ("On other matters", "The minister spoke at length, and in passing of a strike."),
            ("Strikers go home", "They had waited for weeks."),
            ("A strike begins", "They wait."),
        ],
    )
    assert heads(find(house, "strike")) == ["A strike begins", "Strikers go home", "On other matters"]


def test_letters_and_digits_of_every_script_are_folded_the_same(house: House) -> None:
    follow(house.database)
    add(
        house.database,
        "2020-W01",
        [
            ("روزنامه‌نگاران کتاب‌های علی را در ۱۴۰۵ خواندند", "خبر"),
            ("Жёлтый снег в Орле", "Crème fraîche in 2026"),
        ],
    )
    for text in ("كتاب علي", "١٤٠٥", "1405", "روزنامه نگار", "«کتاب‌های علی»"):
        assert find(house, text).total == 1, text
    assert marks(find(house, "كتاب").hits[0]) == ["کتاب"]
    for text in ("желт", "ЖЁЛТЫЙ орле", "creme", "FRAÎCHE ۲۰۲۶"):
        assert find(house, text).total == 1, text


def test_one_newsletter_and_one_year(house: House) -> None:
    follow(house.database)
    add(house.database, "2020-W53", [("A strike in winter", "")])
    add(house.database, "2021-W01", [("A strike in spring", "")])
    add(house.database, "2021-W01", [("A strike elsewhere", "")], newsletter="other")
    assert find(house, "strike").total == 3
    assert heads(find(house, "strike", year=2020)) == ["A strike in winter"]
    assert find(house, "strike", year=2021).total == 2
    assert heads(find(house, "strike", newsletter="other")) == ["A strike elsewhere"]
    assert find(house, "strike", newsletter="other", year=2020).total == 0
    with house.database.read() as session:
        assert years(session) == (2021, 2020)


def test_pages_have_an_end_and_so_has_what_is_weighed(house: House) -> None:
    follow(house.database)
    add(house.database, "2020-W01", [(f"Strike number {number}", "") for number in range(PAGE + 3)])
    first, second, beyond = (find(house, "strike", page=page) for page in (1, 2, 9))
    assert (first.total, first.pages, first.is_more) == (PAGE + 3, 2, False)
    assert (len(first.hits), len(second.hits)) == (PAGE, 3)
    assert not {hit.item_id for hit in first.hits} & {hit.item_id for hit in second.hits}
    assert (beyond.page, len(beyond.hits)) == (1, PAGE)
    add(house.database, "2020-W02", [(f"Strike number {number}", "") for number in range(MOST)])
    many = find(house, "strike", page=MOST // PAGE)
    assert (many.total, many.is_more, many.pages, len(many.hits)) == (MOST, True, MOST // PAGE, PAGE)
    # The newest are the ones that are weighed.
    assert {hit.week for hit in many.hits} == {"2020-W02"}


def test_what_was_sent_is_told_from_what_is_a_draft(newsroom: House) -> None:
    issue_id = the_issue(newsroom)
    with newsroom.database.write() as session:
        assert isinstance(control.approve(session, issue_id, **BY), Done)
    sent = publish(newsroom.database, issue_id, newsroom.newsletter, templates(), BASE_URL, THURSDAY, at_once=True)
    assert isinstance(sent, Published)
    (hit,) = find(newsroom, "foreign agents").hits
    assert (hit.state, hit.is_out, hit.is_public) == (IssueState.SENDING, True, True)


# ---- the index is what stands


def stands(database: Database) -> set[tuple[int, int | None, str]]:
    """What the index should have."""
    with database.read() as session:
        issues = session.execute(sa.select(Issue.id, Issue.subject, Issue.introduction))
        own = {(one, None, " ".join(words(f"{subject} {text}"))) for one, subject, text in issues}
        items = session.execute(sa.select(Item.issue_id, Item.id, Item.headline, Item.summary).where(Item.included))
        return own | {(one, item, " ".join(words(f"{head} {text}"))) for one, item, head, text in items}


def indexed(database: Database) -> set[tuple[int, int | None, str]]:
    """What it has; on PostgreSQL the words in their places."""
    entry = SearchEntry
    with database.read() as session:
        if database.is_sqlite:
            session.execute(sa.text("INSERT INTO search_words (search_words, rank) VALUES ('integrity-check', 1)"))
            columns = session.execute(sa.text("SELECT issue_id, item_id, head, body FROM search_entries"))
            return {(issue, item, f"{head} {body}".strip()) for issue, item, head, body in columns}
        places = sa.text(
            "SELECT e.issue_id, e.item_id, coalesce((SELECT string_agg(lexeme, ' ' ORDER BY place)"
            " FROM unnest(e.head || e.body) AS t(lexeme, places, weights), unnest(t.places) AS place), '')"
            " FROM search_entries e"
        )
        assert session.scalar(sa.select(sa.func.count()).select_from(entry)) is not None
        return {(issue, item, text) for issue, item, text in session.execute(places)}


def test_every_change_of_an_issue_is_in_the_index_with_it(newsroom: House) -> None:
    database, issue_id = newsroom.database, the_issue(newsroom)
    assert indexed(database) == stands(database)
    first, *_, last = newsroom.items(issue_id)
    write(newsroom, introduction="Good news first.\n\nThen the rest.")
    assert find(newsroom, "good news").total == 1
    with database.write() as session:
        assert isinstance(edit.edit_item(session, issue_id, first.id, headline="Another headline", **BY), Done)
        assert isinstance(edit.leave_out(session, issue_id, last.id, **BY), Done)
    assert indexed(database) == stands(database)
    assert find(newsroom, "third week").total == 0
    with database.write() as session:
        assert isinstance(edit.include(session, issue_id, last.id, **BY), Done)
    assert find(newsroom, "third week").total == 1
    assert indexed(database) == stands(database)


def test_what_is_rolled_back_is_not_in_the_index(newsroom: House) -> None:
    def write_and_fail() -> None:
        with newsroom.database.write() as session:
            edit.edit_issue(session, the_issue(newsroom), introduction="Never said.", **BY)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with newsroom.database.write() as session:
        edit.edit_issue(session, the_issue(newsroom), introduction="Never said.", **BY)
        session.rollback()
    assert find(newsroom, "never said").total == 0
    assert indexed(newsroom.database) == stands(newsroom.database)


def test_a_draft_made_anew_and_one_that_is_removed(house: House) -> None:
    follow(house.database)
    house.source(MAIN)
    house.source(TROUBLE, reason="It broke.", failures=1)
    house.post("A court orders a station off the air")
    made = house.draft()
    house.post("Parliament passes a law", ago=2 * DAY)
    house.well()
    with house.database.write() as session:
        assert redraft(session, made.issue_id, house.newsletter, THURSDAY)
    assert indexed(house.database) == stands(house.database)
    with house.database.write() as session:
        session.delete(session.get_one(Issue, made.issue_id))
    assert indexed(house.database) == stands(house.database) == set()
    assert find(house, "court").total == 0


def test_the_index_is_made_anew(newsroom: House) -> None:
    with newsroom.database.write() as session:
        session.execute(sa.delete(SearchEntry))
    assert find(newsroom, "court").total == 0
    assert rebuild(newsroom.database) == 5
    assert indexed(newsroom.database) == stands(newsroom.database)
    with newsroom.database.write() as session:
        assert index(session, [the_issue(newsroom)]) == 5
    assert find(newsroom, "court").total == 2


def test_a_second_newsletter_s_draft_is_followed_too(newsroom: House) -> None:
    newsroom.newsletter = make_newsletter(slug="other")
    draft(newsroom.database, newsroom.newsletter, THURSDAY)
    assert indexed(newsroom.database) == stands(newsroom.database)


# ---- whatever is typed


typed = st.text() | st.text("\"“”«»*()-+:^'&|!<>\\%{}[],.;~@ \0abAND ORNOTNEAR", max_size=60)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with an issue, that only reads are made of."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("shelf") / "digest.db"
        path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        url = f"sqlite:///{path}"
    else:
        server = Database(request.getfixturevalue("postgres_url"))
        template = request.getfixturevalue("postgres_template")
        with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"CREATE DATABASE test_search_shelf TEMPLATE {template}"))
        url = server.url.set(database="test_search_shelf").render_as_string(hide_password=False)
        server.close()
    with closing(Database(url)) as database:
        follow(database)
        add(database, "2020-W01", [("a AND b or not near", "a b ab 'quoted' (x) A:B*"), ("ab", "")])
        yield database


@given(text=typed, page=st.integers(-5, 2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_text_is_an_error(shelf: Database, text: str, page: int) -> None:
    with shelf.read() as session:
        found = search(session, text, page=page)
    assert (found.terms == ()) is (not words(text[:300]))
    assert found.total == len(found.hits)
    for hit in found.hits:
        assert marks(hit)


@given(texts=st.lists(st.text(max_size=80), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_whatever_was_written_is_indexed_and_found_by_its_own_words(shelf: Database, texts: list[str]) -> None:
    texts = [text.replace("\0", "").encode(errors="ignore").decode() for text in texts]
    with shelf.write() as session:
        issue = session.scalars(sa.select(Issue)).one()
        issue.subject, issue.introduction = " ".join(texts[:1]), " ".join(texts[1:])
        session.flush()
        index(session, [issue.id])
        for text in filter(words, texts):
            found = search(session, f'"{text}"'.replace("\n", " "))
            if found.terms and not set(text) & set('"“”„‟«»'):
                assert None in [hit.item_id for hit in found.hits], (text, found)
        session.rollback()


# ---- the terms


def test_what_is_typed_becomes_terms() -> None:
    assert terms_of('court "passes  a law" well-known x') == (
        Term(("passes", "a", "law"), is_beginning=False),
        Term(("court",), is_beginning=True),
        Term(("well", "known"), is_beginning=True),
        Term(("x",), is_beginning=False),
    )
    assert terms_of(" *** \"\" '' -") == ()
    assert len(terms_of(" ".join(f"word{number}" for number in range(100)))) == 12


def test_both_databases_are_asked_the_same() -> None:
    terms = terms_of('"a law" right-wing')
    assert for_fts5(terms) == '"a law" AND ("right wing" OR "right wing" *)'
    assert for_tsquery(terms) == "('a' <-> 'law') & ('right' <-> 'wing' | 'right' <-> 'wing':*)"


def test_a_long_text_is_cut_around_what_was_found() -> None:
    text = f"{'before ' * 60}the court ruled {'after ' * 60}"
    passage = snippet(text, terms_of("court"))
    shown = "".join(piece for piece, _ in passage)
    assert shown.startswith("… before")
    assert shown.endswith("after …")
    assert ("court", True) in passage
    assert len(shown) <= SNIPPET + 4
    assert snippet("Short.\n\nText.", ()) == (("Short. Text.", False),)
    assert "".join(piece for piece, _ in snippet("word " * 100, ())).endswith("word …")


@given(st.text(), typed)
def test_marking_changes_no_text(text: str, looked_for: str) -> None:
    terms = terms_of(looked_for)
    assert "".join(piece for piece, _ in marked(text, terms)) == text
    shown = "".join(piece for piece, _ in snippet(text, terms)).strip("… ")
    assert shown in " ".join(text.split())
