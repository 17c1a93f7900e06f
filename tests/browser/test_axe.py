"""Axe finds nothing on any page that readers see: three languages, phone and desktop, light and dark, scripts or none.

One site speaks all three languages, and each page is opened once and looked at in every way.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize

from digest.configuration import parse
from digest.models import Issue, IssueState
from digest.web.app import create_app
from subscribers.db import Base, Database
from subscribers.keys import make_keys
from subscribers.models import Subscription
from subscribers.newsletters import NewsletterInfo
from subscribers.service import Service
from subscribers.vault import Vault
from subscribers.web import public_routes
from tests.browser.album import Album
from tests.subscribers.house import NEGAH, WATCH, Clock, Recorder, serving
from tests.subscribers.test_languages import OBZOR
from tests.web.house import make_parts

pytestmark = pytest.mark.browser

PAPERS: dict[str, NewsletterInfo] = {"en": WATCH, "ru": OBZOR, "fa": NEGAH}
SUBJECTS = {"en": "Strikes, and a verdict", "ru": "Забастовки и один приговор", "fa": "اعتصاب‌ها و یک حکم"}
PHONE: ViewportSize = {"width": 320, "height": 640}
DESKTOP: ViewportSize = {"width": 1100, "height": 850}
EVERYTHING: dict[str, object] = {"resultTypes": ["violations"]}
COLOURS: dict[str, object] = {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]}


@dataclass(frozen=True)
class Town:
    """A site with a newsletter in each language, and what is behind it."""

    base: str
    database: Database
    service: Service
    outbox: Recorder
    clock: Clock

    def letter(self, name: str) -> str:
        """Where the newest letter with a link of this name leads to."""
        urls = [letter.context[name] for letter in self.outbox.letters if name in letter.context]
        return self.base + urlsplit(urls[-1]).path

    def link(self, made: Callable[[bytes], str], newsletter: str) -> str:
        """A link of the one who reads a newsletter."""
        query = sa.select(Subscription.public_id).where(Subscription.newsletter == newsletter)
        with self.database.read() as session:
            return self.base + urlsplit(made(session.scalars(query).one())).path


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('town') / 'digest.db'}")
    Base.metadata.create_all(database.engine)
    keys, outbox, clock = make_keys(), Recorder(), Clock(dt.datetime(2026, 11, 18, 18, tzinfo=dt.UTC))
    papers = {paper.slug: paper for paper in PAPERS.values()}
    service = Service(database, Vault(database, keys), keys, outbox, "http://127.0.0.1", papers)
    parts = make_parts(database, keys, clock)
    newsletters = {
        paper.slug: {
            "title": paper.title,
            "description": paper.description,
            "language": paper.language,
            "timezone": "Europe/Prague",
            "sender": "The Watch <watch@example.org>",
            "publisher": paper.publisher,
            "sources": [{"feed": "https://blog.example.org/feed/"}],
        }
        for paper in PAPERS.values()
    }
    data = {"newsletters": newsletters, "web": {"base_url": "http://127.0.0.1"}}
    settings = parse(data, {}, Path("/nowhere/digest.toml"))
    publish(database, clock.now)
    app = create_app(
        replace(parts, settings=settings, public_routes=public_routes(service, parts.pages, clock), clock=clock)
    )
    with serving(app) as base:
        yield Town(base, database, service, outbox, clock)
    database.close()


def publish(database: Database, now: dt.datetime) -> None:
    """An issue of the first two newsletters has gone out; the third one's shelf is empty."""
    with database.write() as session:
        for language in ("ru", "fa"):
            issue = Issue(
                newsletter=PAPERS[language].slug,
                week="2026-W46",
                window_start=now,
                window_end=now,
                send_at=now,
                state=IssueState.SENT,
                preheader=PAPERS[language].description,
                created_at=now,
                frozen_at=now,
                rendered_subject=SUBJECTS[language],
                rendered_html="<p>x</p>",
            )
            session.add(issue)


def pages(town: Town, page: Page, language: str) -> Iterator[str]:
    """Open every page that a reader can come to, in their order, and say its name."""
    page.goto(f"{town.base}/?lang={language}")
    yield "form"
    page.locator("form").evaluate("form => form.noValidate = true")
    send(town, page, "me@localhost")
    yield "form-problem"
    send(town, page, f"{language}.{town.clock.now.timestamp():.0f}@example.org")
    yield "look"
    page.goto(town.letter("never_url") + f"?lang={language}")
    yield "never"
    page.goto(town.letter("confirm_url"))
    yield "confirm"
    page.get_by_role("button").click()
    yield "confirmed"
    yield from own_pages(town, page, language)
    page.goto(town.letter("never_url") + f"?lang={language}")
    page.get_by_role("button").click()
    yield "never-done"
    for name, path in (("old-link", "/confirm/old"), ("issues", "/issues/"), ("problem", "/nowhere")):
        page.goto(f"{town.base}{path}?lang={language}")
        yield name


def own_pages(town: Town, page: Page, language: str) -> Iterator[str]:
    """The pages behind the links of an issue, and those behind the fresh link that they send."""
    leave = town.link(town.service.links.leave, PAPERS[language].slug) + f"?lang={language}"
    page.goto(town.link(town.service.links.manage, PAPERS[language].slug) + f"?lang={language}")
    yield "manage"
    page.get_by_role("button").first.click()
    yield "fresh-sent"
    mine = town.letter("mine_url")
    page.goto(mine)
    yield "mine"
    page.locator("form:has(select[name=weeks]) button").click()
    yield "mine-paused"
    page.goto(leave)
    yield "leave"
    page.get_by_role("button").click()
    yield "left"
    page.goto(f"{mine}?lang={language}")
    yield "mine-nothing"
    page.goto(f"{mine}/erase?lang={language}")
    yield "erase"
    page.get_by_role("button").click()
    yield "erased"
    page.goto(f"{mine}?lang={language}")
    yield "fresh-old"


def send(town: Town, page: Page, address: str) -> None:
    page.locator("#email").fill(address)
    town.clock.turn(seconds=20)
    page.locator(".signup button").click()


def look(page: Page, options: dict[str, object]) -> list[str]:
    """What axe says of the page as it stands."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found: dict[str, Any] = page.evaluate("options => axe.run(options)", options)
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


def as_left(page: Page, mirror: Page, base: str) -> Page:
    """The page as it stands where no script runs, in a window where axe can: it is a script itself."""
    shown = re.sub(r"<script\b.*?</script>|</?noscript>", "", page.content(), flags=re.S)
    mirror.unroute_all()
    mirror.route(f"{base}/as-left", lambda route: route.fulfill(body=shown, content_type="text/html; charset=utf-8"))
    mirror.goto(f"{base}/as-left")
    return mirror


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("language", PAPERS)
def test_axe_finds_nothing(town: Town, browser: Browser, album: Album, language: str, scripts: bool) -> None:
    town.clock.turn(days=2)
    clear(town.database)
    context = browser.new_context(viewport=DESKTOP, java_script_enabled=scripts, reduced_motion="reduce")
    with_scripts = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    page, mirror = context.new_page(), with_scripts.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    seen: list[str] = []
    for name in pages(town, page, language):
        seen.append(name)
        assert page.locator("html").get_attribute("lang") == language, name
        if scripts:
            inspect(page, f"{name}-{language}", album)
        else:
            assert look(as_left(page, mirror, town.base), EVERYTHING) == [], name
    context.close()
    with_scripts.close()
    assert len(seen) == len(set(seen)) == 20
    assert [one for one in complaints if not re.search(r"the server responded with a status of 4\d\d", one)] == []


def inspect(page: Page, name: str, album: Album) -> None:
    """Look at a page on a desktop and on a phone, in light and in dark, and leave pictures."""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)
    assert look(page, EVERYTHING) == [], name
    album.keep(page, f"public-{name}-desktop")
    page.emulate_media(color_scheme="dark")
    assert look(page, COLOURS) == [], f"{name}, dark"
    page.set_viewport_size(PHONE)
    album.keep(page, f"public-{name}-dark")
    page.emulate_media(color_scheme="light")
    assert look(page, EVERYTHING) == [], f"{name}, on a phone"
    album.keep(page, f"public-{name}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
    page.set_viewport_size(DESKTOP)


def clear(database: Database) -> None:
    """Let nobody be a reader, so that each way of looking begins with the same."""
    with database.write() as session:
        session.execute(sa.delete(Subscription))
