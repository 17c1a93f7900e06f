"""A real issue of about 60 KB: forty stories of sample text, checked, rendered and frozen as any other."""

from __future__ import annotations

import datetime as dt
import random
import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import event

from benchmarks.tools import Failed
from digest.issues.publish import Published, publish
from digest.models import Issue, IssueState, Item, Post
from digest.weeks import Week
from digest.wiring import House

SLUG = "watchdog"
STORIES = 40
SECTIONS = ("", "In the courts", "Journalists in trouble")
FIRST_WEEK = Week.parse("2020-W01")
SITE = "https://www.example.org"
WHO = "benchmark"

_PEOPLE = ("A regional court", "The city council", "A panel of experts", "The ombudsman", "A group of reporters")
_ACTS = ("asks for the files on", "hears the case of", "publishes its findings on", "delays a decision about")
_THINGS = (
    "the closed archive",
    "a library without books",
    "the river that was moved",
    "two newspapers",
    "a blocked site",
)
SENTENCES = (
    "Those who brought the matter forward say that they have waited for an answer for more than a year.",
    "The hearing was open to the public, and most of the seats in the small room were taken early in the morning.",
    "An official said that the rules had been followed, and that the documents would be shown when the review ends.",
    "Two of the lawyers asked for more time, because the papers that were promised in spring had not arrived.",
    "People who live nearby remember how the building looked before, and keep photographs of it in their homes.",
    "A report of several hundred pages lists what was spent, by whom, and what is still missing from the books.",
    "“We only ask for what the law says already,” one of them told us on the steps after the session.",
    "The next date is set for the end of the month; until then both sides may hand in what they have.",
)


@dataclass(frozen=True)
class Frozen:
    """An issue that is about to be sent."""

    issue_id: int
    audience: int
    seconds: float
    """What the freeze took: checks, rendering, and its one transaction."""


def write_posts(house: House) -> None:
    """Store the posts that every issue here is made of."""
    dice = random.Random(7)
    with house.database.write() as session:
        session.add_all(_post(number, dice, house.clock()) for number in range(STORIES))


def _post(number: int, dice: random.Random, now: dt.datetime) -> Post:
    picture = f"{SITE}/pictures/{number}-w640.jpg" if number == 0 else ""
    return Post(
        newsletter=SLUG,
        source_url=f"{SITE}/api/",
        identity=str(number),
        link=f"{SITE}/a/what-became-of-it/{33000000 + number}.html",
        title=f"{_PEOPLE[number % 5]} {_ACTS[number // 2 % 4]} {_THINGS[number // 8 % 5]}",
        byline="The newsroom",
        published_at=now - dt.timedelta(hours=number + 1),
        summary=" ".join(dice.sample(SENTENCES, 1)),
        image_url=picture,
        image_alt="A room with many chairs" if picture else "",
        fingerprint=f"{number:064x}",
        gathered_at=now,
    )


def draft(house: House, week: Week) -> int:
    """Open an approved issue of all posts; returns its id."""
    now = house.clock()
    with house.database.write() as session:
        posts = session.scalars(sa.select(Post).order_by(Post.id)).all()
        issue = Issue(
            newsletter=SLUG,
            week=str(week),
            window_start=now - dt.timedelta(days=7),
            window_end=now,
            send_at=now,
            state=IssueState.APPROVED,
            subject=f"{posts[0].title}, and {len(posts) - 1} other stories",
            preheader="What was decided this week, what was put off, and who is still waiting.",
            introduction="Good morning.\n\nThis week has been a long one for everybody who waits for an answer.",
            touched=True,
            approved_at=now,
            approved_by=WHO,
            created_at=now,
        )
        issue.items = [_item(number, post) for number, post in enumerate(posts)]
        session.add(issue)
        session.flush()
        return issue.id


def _item(number: int, post: Post) -> Item:
    section = SECTIONS[number * len(SECTIONS) // STORIES]
    return Item(post=post, section=section, position=number, headline=post.title, summary=post.summary)


def freeze(house: House, issue_id: int) -> Frozen:
    """Freeze the issue as its planner does, and time it. Raises `Failed` where that was not one transaction."""
    commits: list[object] = []
    note = commits.append
    event.listen(house.database.engine, "commit", note)
    begun = time.monotonic()
    try:
        done = publish(
            house.database,
            issue_id,
            house.newsletter(SLUG),
            house.renderer,
            house.settings.web.base_url,
            house.clock(),
            who=WHO,
            at_once=True,
        )
    finally:
        event.remove(house.database.engine, "commit", note)
    seconds = time.monotonic() - begun
    if not isinstance(done, Published):
        raise Failed(f"the issue was not frozen: {done.reason}")
    if len(commits) != 1:
        raise Failed(f"the freeze took {len(commits)} transactions")
    return Frozen(issue_id, done.audience, seconds)
