"""The week's issue is opened once, with what belongs in it, and held where it must not go out by itself."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
import sqlalchemy as sa

from digest.issues.control import cancel
from digest.issues.draft import Absorbed, Drafted, absorb_new_posts, draft
from digest.issues.edit import edit_item
from digest.issues.outcomes import Done, Refused
from digest.models import IssueState, Item
from digest.weeks import Week
from tests.issues.newsroom import DAY, HOUR, MAIN, THURSDAY, TROUBLE, House, make_newsletter

WEEK = 7 * DAY


def absorb(house: House, issue_id: int) -> Absorbed:
    with house.database.write() as session:
        result = absorb_new_posts(session, issue_id, house.newsletter, THURSDAY + HOUR)
    assert isinstance(result, Absorbed)
    return result


def headlines(house: House, issue_id: int) -> list[str]:
    return [item.headline for item in house.items(issue_id) if item.included]


def test_a_draft_made_too_early_is_made_anew_when_the_news_is_there(house: House) -> None:
    early = house.draft()
    assert (early.state, early.items) == (IssueState.HELD, 0)
    house.source(MAIN)
    house.source(TROUBLE)
    house.post("The lead", ago=HOUR)
    house.post("In trouble", ago=2 * HOUR, source=TROUBLE)
    again = house.draft()
    assert (again.issue_id, again.created, again.state, again.reasons) == (early.issue_id, False, IssueState.DRAFT, ())
    assert headlines(house, again.issue_id) == ["The lead", "In trouble"]


def test_an_ordinary_week_becomes_a_draft(thursday: House) -> None:
    made = thursday.draft()
    assert (made.name, made.created, made.state, made.reasons) == ("watchdog/2026-W47", True, IssueState.DRAFT, ())
    items = thursday.items(made.issue_id)
    assert [(item.position, item.section) for item in items] == [
        (0, ""),
        (1, ""),
        (2, ""),
        (3, "Journalists in Trouble"),
    ]
    assert headlines(thursday, made.issue_id)[0] == "A court orders a station off the air"
    issue = thursday.issue(made.issue_id)
    assert issue.subject == "A court orders a station off the air"
    assert issue.preheader.startswith("Parliament passes a law on foreign agents · Police search")
    assert issue.send_at == dt.datetime(2026, 11, 19, 9, tzinfo=dt.UTC)
    assert (issue.revision, issue.touched) == (1, False)


def test_a_second_call_returns_what_stands_and_touches_nothing(thursday: House) -> None:
    made = thursday.draft()
    item = thursday.items(made.issue_id)[0]
    with thursday.database.write() as session:
        changed = edit_item(session, made.issue_id, item.id, headline="My own", who="Ada", now=THURSDAY)
    assert isinstance(changed, Done)
    thursday.post("Another one")
    again = thursday.draft(THURSDAY + HOUR)
    assert again == replace(made, created=False)
    assert headlines(thursday, made.issue_id)[0] == "My own"


def test_two_at_once_open_one_issue(thursday: House) -> None:
    together = Barrier(4)

    def work(_: int) -> Drafted:
        together.wait()
        return thursday.draft()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, range(4)))
    assert sorted(one.created for one in made) == [False, False, False, True]
    assert len({one.issue_id for one in made}) == 1
    with thursday.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Item)) == 4


def test_the_window_is_half_open_and_withdrawn_posts_stay_out(house: House) -> None:
    house.source(MAIN)
    house.source(TROUBLE)
    cutoff = 30 * dt.timedelta(minutes=1)
    house.post("At the cut-off", ago=cutoff)
    house.post("Just before it", ago=cutoff + dt.timedelta(seconds=1))
    house.post("At the window's start", ago=cutoff + WEEK)
    house.post("Before the window", ago=cutoff + WEEK + dt.timedelta(seconds=1))
    house.post("Withdrawn", withdrawn_at=THURSDAY)
    house.post("Another newsletter's", newsletter="other")
    assert headlines(house, house.draft().issue_id) == ["Just before it", "At the window's start"]


def test_an_empty_week_is_held_and_says_so(house: House) -> None:
    house.source(MAIN)
    house.source(TROUBLE)
    house.post(ago=8 * DAY)
    house.post(ago=8 * DAY, source=TROUBLE)
    made = house.draft()
    assert (made.state, made.reasons) == (IssueState.HELD, ("No post was published in this week's window.",))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"reason": "the site answered 503", "failures": 1},
            "could not be read: the site answered 503, last read well on 2026-11-19",
        ),
        ({"reason": "no such host", "failures": 9, "succeeded_at": None}, "could not be read: no such host."),
        ({"succeeded_at": THURSDAY - 2 * DAY}, "was last read on 2026-11-17 at 05:30 UTC"),
        ({"succeeded_at": None, "checked_at": None}, "has not been read yet"),
    ],
)
def test_a_source_in_doubt_holds_the_draft_and_is_named(thursday: House, state: dict[str, object], words: str) -> None:
    thursday.source(TROUBLE, **state)
    made = thursday.draft()
    assert made.state is IssueState.HELD
    assert len(made.reasons) == 1
    assert made.reasons[0].startswith(f"{TROUBLE} {words}")
    assert made.items == 4


def test_what_a_good_reading_remarked_is_judged_anew(thursday: House) -> None:
    thursday.source(MAIN, reason="Nothing new for three weeks.", failures=0)
    assert thursday.draft().reasons == ()


def test_a_source_without_new_posts_is_stale(thursday: House) -> None:
    thursday.newsletter = make_newsletter(sources=[{"feed": MAIN}, {"feed": TROUBLE, "stale_after": "1 d"}])
    made = thursday.draft()
    assert made.reasons == (f"{TROUBLE} has had no new post since 2026-11-17 at 05:30 UTC, which is more than 1 day.",)


def test_a_source_that_never_had_a_post_holds_the_draft(thursday: House) -> None:
    thursday.newsletter = make_newsletter(sources=[{"feed": MAIN}, {"feed": "https://news.example/new"}])
    thursday.source("https://news.example/new")
    assert thursday.draft().reasons == ("https://news.example/new has brought no post so far.",)


def test_a_skipped_week_that_somebody_asks_for_is_held(thursday: House) -> None:
    thursday.newsletter = make_newsletter(skip=["2026-11-19"])
    made = draft(thursday.database, thursday.newsletter, THURSDAY, Week(2026, 47))
    assert made.reasons == ("2026-11-19 is a day on which nothing is sent.",)


def test_no_post_is_in_two_issues(thursday: House) -> None:
    first = thursday.draft()
    # The cut-off is moved to Tuesday, so that the calendar's windows overlap.
    thursday.newsletter = make_newsletter(cutoff="tue 06:00")
    thursday.post("News of next week", ago=-3 * DAY)
    second = thursday.draft(THURSDAY + WEEK)
    assert headlines(thursday, second.issue_id) == ["News of next week"]
    assert thursday.issue(second.issue_id).window_start == thursday.issue(first.issue_id).window_end


def test_weeks_that_nobody_drafted_are_not_lost(thursday: House) -> None:
    thursday.draft()
    thursday.post("News of the week when the machine was off", ago=-3 * DAY)
    thursday.post("News of the week after", ago=-10 * DAY)
    later = thursday.draft(THURSDAY + 2 * WEEK)
    assert later.name == "watchdog/2026-W49"
    assert headlines(thursday, later.issue_id) == [
        "News of the week after",
        "News of the week when the machine was off",
    ]


def test_the_posts_of_a_cancelled_issue_are_free_again(thursday: House) -> None:
    made = thursday.draft()
    with thursday.database.write() as session:
        assert isinstance(cancel(session, made.issue_id, who="Ada", now=THURSDAY), Done)
    thursday.post("News of next week", ago=-3 * DAY)
    later = thursday.draft(THURSDAY + WEEK)
    assert headlines(thursday, later.issue_id) == ["News of next week"]


def test_a_post_that_was_seen_too_late_is_offered_the_week_after(thursday: House) -> None:
    thursday.draft()
    thursday.post("Late", ago=DAY, gathered_at=THURSDAY + DAY)
    later = thursday.draft(THURSDAY + WEEK)
    assert [(item.headline, item.included) for item in thursday.items(later.issue_id)] == [("Late", False)]
    assert later.state is IssueState.HELD


def test_new_posts_are_offered_at_the_end_and_change_nothing_else(thursday: House) -> None:
    made = thursday.draft()
    thursday.post("Came in late", ago=2 * HOUR)
    assert absorb(thursday, made.issue_id) == Absorbed(1, (), ())
    items = thursday.items(made.issue_id)
    assert [item.position for item in items] == [0, 1, 2, 3, 4]
    assert (items[-1].headline, items[-1].included) == ("Came in late", False)
    assert thursday.issue(made.issue_id).revision == 1
    assert absorb(thursday, made.issue_id).added == 0


def test_edited_and_withdrawn_posts_are_noted(thursday: House) -> None:
    made = thursday.draft()
    first, second, *_ = thursday.items(made.issue_id)
    thursday.change_post(first.post_id, edited_at=THURSDAY + HOUR)
    thursday.change_post(second.post_id, withdrawn_at=THURSDAY + HOUR)
    assert absorb(thursday, made.issue_id) == Absorbed(0, (first.headline,), (second.headline,))


def test_an_issue_that_has_gone_out_takes_no_more(thursday: House) -> None:
    made = thursday.draft()
    thursday.set(made.issue_id, state=IssueState.SENT)
    with thursday.database.write() as session:
        assert isinstance(absorb_new_posts(session, made.issue_id, thursday.newsletter, THURSDAY), Refused)
        assert isinstance(absorb_new_posts(session, 999, thursday.newsletter, THURSDAY), Refused)


def test_a_crowded_week_offers_a_bounded_rest(house: House) -> None:
    house.source(MAIN)
    house.source(TROUBLE)
    house.post(source=TROUBLE)
    for number in range(100):
        house.post(ago=HOUR * (2 + number / 10))
    made = house.draft()
    items = house.items(made.issue_id)
    assert sum(item.included for item in items) == 25
    assert len(items) == 85
    assert [item.position for item in items] == list(range(85))
    assert absorb(house, made.issue_id).added == 0


def test_opening_is_logged(thursday: House) -> None:
    made = thursday.draft()
    (entry,) = thursday.log()
    assert (entry.who, entry.action, entry.object, entry.at) == ("planner", "draft", made.name, THURSDAY)
    assert entry.detail.startswith("4 of 4 posts from 2026-11-12 05:00 to 2026-11-19 05:00 UTC")
