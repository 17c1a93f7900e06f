"""What the tests of the pages are made with: settings, posts, people of the newsroom, an application."""

from __future__ import annotations

import datetime as dt
import random
import re
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from litestar import Litestar
from litestar.testing import TestClient

from digest.configuration import parse
from digest.issues.draft import Drafted, draft
from digest.issues.search_index import follow
from digest.mail.outbox import LedgerOutbox
from digest.mail.render import Renderer
from digest.models import Bounce, Issue, IssueState, Post, User
from digest.settings import Settings
from digest.web.accounts import add_user
from digest.web.app import Parts, create_app
from digest.weeks import Week
from subscribers.db import Base, Database
from subscribers.keys import Keys
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.newsletters import NewsletterInfo
from subscribers.pages import Pages
from subscribers.service import Service
from subscribers.vault import Vault
from subscribers.web import public_routes
from tests.subscribers.house import Clock

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
BASE_URL = "http://digest.example.org"
NAME = "watchdog/2026-W46"
ISSUE = f"/desk/issues/{NAME}"
RENDERER = Renderer([TEMPLATES / "email"])
PAGES = Pages([TEMPLATES / "web"], site_title="Watchdog", dated=RENDERER.dated)
"""One for all tests, as for all threads: each template is read and compiled once."""
PASSWORD = "tall ships on a quiet sea"
ADDRESS = "anna@newsroom.example"

STORIES = [
    (
        "",
        "Court in Tarnovo frees editor after 214 days",
        "The editor of a weekly walked out of the courthouse to applause. The charges had rested on one letter.",
    ),
    (
        "",
        "New register asks charities to name every donor",
        "From January, groups that take money from abroad must list each giver. Smaller ones would rather close.",
    ),
    (
        "",
        "Villagers win access to river records",
        "After four years a ministry has to open its files on the dam. The ruling could help a dozen similar cases.",
    ),
    (
        "",
        "A night with the ambulance volunteers of Lesny",
        "They answer forty calls a shift, on donated fuel and very little sleep.",
    ),
    (
        "Journalists in Trouble",
        "Camera operator held at border for nine hours",
        "Officers copied her phone and gave no reason, her union says.",
    ),
    (
        "Journalists in Trouble",
        "Radio station loses licence over a song",
        "The regulator counted the swear words twice, and then once more.",
    ),
]


def make_settings(base_url: str = BASE_URL, login: dict[str, object] | None = None) -> Settings:
    newsletter = {
        "title": "Watchdog",
        "description": "Human rights and press freedom, every Thursday.",
        "language": "en",
        "timezone": "Europe/Prague",
        "send": "thu 10:00",
        "cutoff": "thu 06:00",
        "sender": "Watchdog <digest@example.org>",
        "publisher": "Watchdog, 1 Example Street, Exampleville",
        "sources": [
            {"feed": "https://blog.example.org/feed/"},
            {"feed": "https://blog.example.org/trouble/", "section": "Journalists in Trouble"},
        ],
    }
    data: dict[str, object] = {
        "newsletters": {"watchdog": newsletter},
        "web": {"base_url": base_url},
        "login": login or {},
    }
    return parse(data, {}, Path("/nowhere/digest.toml"))


def make_service(database: Database, keys: Keys, settings: Settings, vault: Vault, outbox: LedgerOutbox) -> Service:
    wording = "I agree to get it once a week."
    infos = {
        slug: NewsletterInfo(slug, one.title, one.description, one.language, one.direction, one.publisher, wording)
        for slug, one in settings.newsletters.items()
    }
    return Service(database, vault, keys, outbox, settings.web.base_url, infos)


def make_parts(
    database: Database, keys: Keys, clock: Clock, base_url: str = BASE_URL, login: dict[str, object] | None = None
) -> Parts:
    settings = make_settings(base_url, login)
    follow(database)
    vault = Vault(database, keys)
    outbox = LedgerOutbox(vault)
    return Parts(
        settings=settings,
        database=database,
        vault=vault,
        keys=keys,
        renderer=RENDERER,
        outbox=outbox,
        pages=PAGES,
        static=[TEMPLATES / "web" / "static"],
        public_routes=public_routes(make_service(database, keys, settings, vault, outbox), PAGES, clock),
        clock=clock,
    )


def with_login(parts: Parts, **login: object) -> Parts:
    """The same parts under other rules of `[login]`."""
    return replace(parts, settings=make_settings(parts.base_url, login))


def add_readers(parts: Parts, *addresses: str) -> None:
    service = make_service(parts.database, parts.keys, parts.settings, parts.vault, parts.outbox)
    for address in addresses:
        service.enter("watchdog", address, "asked for it by letter", parts.clock())


def add_list(parts: Parts, weeks: int, readers: int, newsletter: str = "watchdog") -> None:
    """A list as it stands after so many weeks, of about so many readers: rows alone, with nobody behind them."""
    dice, now = random.Random(weeks), parts.clock()
    formats = [Format.SUMMARIES] * 7 + [Format.FULL] * 2 + [Format.TEXT]
    people, ties, never = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    with parts.database.write() as session:
        first = (session.scalar(sa.select(sa.func.max(Subscriber.id))) or 0) + 1
        for number in range(first, first + readers):
            came = now - dt.timedelta(days=7 * weeks * dice.random() ** 0.8)
            has_left, is_pending = dice.random() < 0.2, dice.random() < 0.02
            reason = dice.choice([None, None, None, "bounce", "complaint"]) if has_left else None
            row = {name: dice.randbytes(32) for name in ("blind_index", "suppression_hash")}
            people.append(
                {"id": number, "public_id": dice.randbytes(16), "address_sealed": b"", "created_at": came, **row}
            )
            if reason:
                never.append({"address_hash": row["suppression_hash"], "reason": reason, "month": f"{now:%Y-%m}"})
            ties.append(
                {
                    "public_id": dice.randbytes(16),
                    "subscriber_id": number,
                    "newsletter": newsletter,
                    "state": State.LEFT if has_left else State.PENDING if is_pending else State.CONFIRMED,
                    "language": "en",
                    "requested_at": came,
                    "confirmed_at": None if is_pending and not has_left else came,
                    "left_at": came + (now - came) * dice.random() if has_left else None,
                    "left_reason": reason,
                    "method": dice.choice(["form", "form", "form", "form", "import"]),
                    "evidence": "{}",
                    "format": dice.choice(formats),
                    "is_neutral": dice.random() < 0.12,
                    "paused_until": now + dt.timedelta(days=9) if dice.random() < 0.03 else None,
                }
            )
        for table, rows in ((Subscriber, people), (Subscription, ties), (Suppression, never)):
            if rows:
                session.execute(sa.insert(table), rows)
        signs = ["hard", "soft", "soft", "policy", "complaint"]
        session.add_all(
            Bounce(newsletter=newsletter, issue_id=dice.choice([1, 1, 1, None]), sign=dice.choice(signs), at=at)
            for at in (now - dt.timedelta(days=35 * dice.random()) for _ in range(readers // 12))
        )


def add_editor(parts: Parts, name: str = "anna", role: str = "publisher", address: str | None = ADDRESS) -> User:
    parts.vault.prepare()
    with parts.database.write() as session:
        return add_user(session, parts.vault, name, PASSWORD, role, address, parts.clock())


def add_posts(parts: Parts, stories: list[tuple[str, str, str]] | None = None) -> None:
    """Posts of the window that ended on Thursday, 2026-11-12; each newer than the next."""
    newest = dt.datetime(2026, 11, 11, 15, 30, tzinfo=dt.UTC)
    with parts.database.write() as session:
        for number, (section, title, summary) in enumerate(stories if stories is not None else STORIES):
            session.add(
                Post(
                    newsletter="watchdog",
                    source_url=f"https://blog.example.org/{'trouble' if section else 'feed'}/",
                    identity=f"post-{number}",
                    link=f"https://blog.example.org/a/{number}.html",
                    title=title,
                    summary=summary,
                    body=f"<p>{summary}</p>" if "<" not in summary else "",
                    language="en",
                    published_at=newest - dt.timedelta(hours=7 * number),
                    fingerprint=f"{number:064d}",
                    gathered_at=newest,
                )
            )


def open_issue(parts: Parts) -> Drafted:
    newsletter = parts.settings.newsletters["watchdog"]
    return draft(parts.database, newsletter, parts.clock(), Week(2026, 46))


def add_past_issue(parts: Parts) -> None:
    """Last week's, which has gone out."""
    at = dt.datetime(2026, 11, 5, 9, tzinfo=dt.UTC)
    with parts.database.write() as session:
        session.add(
            Issue(
                newsletter="watchdog",
                week="2026-W45",
                window_start=at - dt.timedelta(days=7),
                window_end=at,
                send_at=at,
                state=IssueState.SENT,
                subject="Strikes, a verdict and a birthday behind bars",
                created_at=at,
                frozen_at=at,
                finished_at=at,
                rendered_subject="Strikes, a verdict and a birthday behind bars",
                rendered_text="",
                rendered_html="<p>Strikes</p>",
            )
        )


def the_issue(parts: Parts) -> Issue:
    with parts.database.read() as session:
        issue = session.scalars(sa.select(Issue)).one()
        session.refresh(issue, ["items", "rendered_html", "rendered_text"])
        session.expunge_all()
        return issue


def dump(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with database.read() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(sa.select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


@dataclass
class Browser:
    """A client with a browser's manners: it says where a form came from, and sends all of the form's fields."""

    client: TestClient[Litestar]
    origin: str = BASE_URL

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path, follow_redirects=False)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        sent = {"sec-fetch-site": "same-origin", "origin": self.origin, **headers}
        return self.client.post(path, data=fields, headers=sent, follow_redirects=False)

    def log_in(self, name: str = "anna", password: str = PASSWORD, **more: str) -> httpx.Response:
        return self.post("/desk/login", {"name": name, "password": password, **more})

    def form(self, path: str = ISSUE) -> dict[str, str]:
        """The fields of the issue page's form as a browser would send them."""
        return fields_of(self.get(path).text)

    def press(self, button: str, **typed: str) -> httpx.Response:
        """Press a button of the issue page, after typing."""
        fields = self.form()
        unknown = set(typed) - set(fields)
        assert not unknown, unknown
        return self.post(f"{ISSUE}/{button}", {**fields, **typed})


def fields_of(html: str) -> dict[str, str]:
    fields = dict[str, str]()
    for tag in re.findall(r"<input\b[^>]*>", html):
        if name := re.search(r'\bname="([^"]*)"', tag):
            value = re.search(r'\bvalue="([^"]*)"', tag)
            fields[name[1]] = unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea\b[^>]*\bname="([^"]*)"[^>]*>\n?(.*?)</textarea>', html, re.S):
        fields[name] = unescape(text)
    for name, options in re.findall(r'<select\b[^>]*\bname="([^"]*)"[^>]*>(.*?)</select>', html, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[name] = unescape(chosen[1]) if chosen else ""
    return fields


def make_client(parts: Parts, base_url: str = BASE_URL) -> TestClient[Litestar]:
    return TestClient(create_app(parts), base_url=base_url, raise_server_exceptions=False)
