"""What the tests of the people's side are made with: newsletters, an outbox that only remembers, a clock, a server."""

from __future__ import annotations

import datetime as dt
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from litestar import Litestar
from litestar.static_files import create_static_files_router
from sqlalchemy.orm import Session

from digest.mail.render import Renderer
from digest.run import listen
from subscribers.db import Database
from subscribers.guard import Guard
from subscribers.letters import Letter
from subscribers.newsletters import NewsletterInfo
from subscribers.pages import Pages
from subscribers.service import Service
from subscribers.vault import Keys, Vault
from subscribers.web import public_routes

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "web"
MAILS = Renderer([TEMPLATES.parent / "email"])
BASE_URL = "http://digest.example.org"

WATCH = NewsletterInfo(
    slug="watch",
    title="The Watch",
    description="Courts, newsrooms and the people between them. Every Thursday.",
    language="en",
    direction="ltr",
    publisher="The Watch, 1 Example Street, Exampleville",
    wording="By subscribing I agree to get The Watch by e-mail once a week.",
)
NEGAH = NewsletterInfo(
    slug="negah",
    title="نگاه هفته",
    description="خلاصهٔ خبرهای هفته، هر پنجشنبه.",
    language="fa",
    direction="rtl",
    publisher="The Watch, 1 Example Street, Exampleville",
    wording="با اشتراک، هفته‌ای یک نامه دریافت می‌کنم.",
)


@dataclass
class Recorder:
    """Our own `Outbox`, which remembers the letters and sends none."""

    letters: list[Letter] = field(default_factory=list)

    def post(self, session: Session, letter: Letter, now: dt.datetime) -> None:
        assert session.in_transaction()
        assert now.tzinfo
        self.letters.append(letter)

    def tokens(self, name: str) -> list[str]:
        """The last parts of all links of one name (`confirm_url`, …), oldest first."""
        urls = [letter.context[name] for letter in self.letters if name in letter.context]
        return [urlsplit(url).path.rpartition("/")[2] for url in urls]


@dataclass
class Clock:
    """A clock that a test turns."""

    now: dt.datetime

    def __call__(self) -> dt.datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


def make_service(
    database: Database,
    vault: Vault,
    keys: Keys,
    outbox: Recorder,
    *newsletters: NewsletterInfo,
    base_url: str = BASE_URL,
) -> Service:
    declared = {one.slug: one for one in newsletters or (WATCH, NEGAH)}
    return Service(database, vault, keys, outbox, base_url, declared)


def make_app(
    service: Service, clock: Clock, guard: Guard | None = None, origins: Sequence[str] = (), **everywhere: object
) -> Litestar:
    pages = Pages([TEMPLATES], **{"site_title": "The Watch", "dated": MAILS.dated, **everywhere})
    static = create_static_files_router("/static", [TEMPLATES / "static"])
    return Litestar([*public_routes(service, pages, clock, guard=guard, origins=origins), static], openapi_config=None)


@contextmanager
def serving(app: Litestar, listening: socket.socket | None = None) -> Iterator[str]:
    """The application behind a real server on a free port of this machine; yields its address.

    Where the port has to be known before, `listening` is what `digest.run.listen` gave.
    """
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on", ws="none"))
    # From here on whoever comes is kept waiting rather than sent away.
    listening = listening or listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, first: Callable[[], None]) -> None:
    """Let something happen at the moment in which a function is called, once."""
    original, told = getattr(owner, name), list[bool]()

    def called(*args: Any) -> Any:
        if not told:
            told.append(True)
            first()
        return original(*args)

    monkeypatch.setattr(owner, name, called)
