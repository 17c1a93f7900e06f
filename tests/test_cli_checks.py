"""`digest check` and `digest approve --override`, as a tired operator uses them at night."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest import migrations
from digest.models import Item, KeptOverride, Post, PostVersion
from subscribers.db import Database
from subscribers.keys import write_keys
from tests.commands import run
from tests.gather.conftest import Faults
from tests.house import keys
from tests.issues.newsroom import DAY, THURSDAY, House, make_newsletter

NAME = "watchdog/2026-W47"
CONFIG = """
[database]
url = "sqlite:///digest.db"
[fetch]
allow_private = ["127.0.0.1"]
delay = 0
timeout = 5
[newsletters.watchdog]
title = "Watchdog"
timezone = "Europe/Prague"
sender = "Watchdog <digest@example.org>"
publisher = "The Newsroom, 1 Example Street"
[[newsletters.watchdog.sources]]
feed = "{feed}"
"""


@dataclass
class Desk:
    """A folder with an installation, whose draft has two stories on a scripted site."""

    folder: Path
    faults: Faults
    house: House

    def __call__(self, *words: str, code: int = 0, **environ: str) -> str:
        answer, said = run(self.folder, *words, **environ)
        assert answer == code, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    faults = Faults()
    feed = f"{faults.url}/feed"
    (tmp_path / "digest.toml").write_text(CONFIG.format(feed=feed), encoding="utf-8")
    write_keys(tmp_path / "digest.keys", keys())
    database = Database(f"sqlite:///{tmp_path / 'digest.db'}")
    migrations.upgrade(database)
    house = House(database, make_newsletter(sources=[{"feed": feed}]))
    house.source(feed)
    for number, title in enumerate(("A court orders a station off the air", "Police search the flat of an activist")):
        house.post(title, source=feed, link=faults.says(f"/a/{number}.html", b"x"), ago=DAY * (number + 1))
    house.draft()
    yield Desk(tmp_path, faults, house)
    database.close()
    faults.close()


def placeholder(desk: Desk) -> None:
    with desk.house.database.write() as session:
        session.execute(sa.update(Item).where(Item.position == 1).values(summary="A quote is TK here."))


def test_what_is_fine_is_said_in_a_line_and_links_that_nobody_asked(desk: Desk) -> None:
    said = desk("check", NAME)
    assert said == f"{NAME}: 17 of 18 checks are fine; 2 of 2 links have not been asked for (--links does).\n"
    assert json.loads(desk("check", NAME, "--json")) == []
    assert desk.faults.methods == []


def test_links_are_asked_for_on_request(desk: Desk) -> None:
    said = desk("check", NAME, "--links")
    assert said.splitlines() == ["asking for 2 links …", f"{NAME}: 18 of 18 checks are fine."]
    del desk.faults.answers["/a/1.html"]
    said = desk("check", NAME, "--links", code=1)
    assert re.search(r"BLOCKS +story 2: Police search .+ +The link to 127.0.0.1/a/1.html is dead", said)
    assert "1 to put right, 17 of 18 checks are fine" in said
    # What is known now is shown without asking again.
    asked = len(desk.faults.methods)
    (found,) = json.loads(desk("check", NAME, "--json", code=1).partition("\n]")[0] + "]")
    assert found["code"] == "link-dead"
    assert len(desk.faults.methods) == asked


def test_where_links_are_switched_off_they_are_not_asked_for(desk: Desk) -> None:
    assert "[checks] links is false" in desk("check", NAME, "--links", code=1, DIGEST_CHECKS_LINKS="false")
    assert desk.faults.methods == []


def test_a_finding_is_overridden_by_its_key_with_a_reason(desk: Desk) -> None:
    placeholder(desk)
    said = desk("check", NAME, code=1)
    (key,) = re.findall(r"placeholder-[0-9a-f]{12}", said)
    assert "`digest approve --override KEY=REASON`" in said
    assert "give a reason for each" in desk("approve", NAME, code=1)
    assert "takes a finding's key and a reason" in desk("approve", NAME, "--override", key, code=1)
    assert "is approved" in desk("approve", NAME, "--override", f"{key}=TK is a party = a name")
    with desk.house.database.read() as session:
        assert session.scalars(sa.select(KeptOverride.reason)).one() == "TK is a party = a name"
    said = desk("check", NAME)
    assert re.search(r"overridden +story 2: .+\(command line\), \d{4}-.+UTC: TK is a party = a name", said)


def test_what_cannot_be_overridden_shows_no_key(desk: Desk) -> None:
    desk.house.set(1, subject="")
    said = desk("check", NAME, code=1)
    assert "subject-missing-" not in said
    assert "--override" not in said
    (found,) = json.loads(desk("check", NAME, "--json", code=1).partition("\n]")[0] + "]")
    assert (found["is_final"], found["field"], found["level"]) == (True, "subject", "blocks")


def test_an_edit_at_the_source_is_printed_with_what_has_changed(desk: Desk) -> None:
    with desk.house.database.write() as session:
        post = session.get_one(Post, 1)
        later = THURSDAY + DAY
        session.add(PostVersion(post_id=1, title=post.title, summary=post.summary, body="", until=later))
        post.title, post.edited_at = "A court orders two stations off the air", later
    said = desk("check", NAME)
    assert "  Headline: A court orders [-a station-] {+two stations+} off the air\n" in said


def test_doctor_misses_a_spam_filter_that_is_not_there(desk: Desk) -> None:
    assert re.search(r"checks +links are asked for; no spam filter is asked", desk("doctor", code=1))
    said = desk("doctor", code=1, DIGEST_CHECKS_SPAM="spamassassin", PATH="/nowhere")
    assert "the command spamassassin is not on this machine" in said


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("DIGEST_CHECKS_SPAM", "rspamd", "checks.spam"),
        ("DIGEST_CHECKS_LINKS_EVERY", "1 min", "links are asked for every ten minutes at most"),
        ("DIGEST_CHECKS_LINK_HOSTS", '["https://cpj.org/"]', "is not a site's name; write it like 'cpj.org'"),
    ],
)
def test_what_is_wrong_in_the_settings_is_said(desk: Desk, name: str, value: str, why: str) -> None:
    assert why in desk("check", NAME, code=1, **{name: value})
