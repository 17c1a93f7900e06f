"""A whole installation for the stories: a digest.toml, keys, a sample blog, a relay, pages on a real port."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import html
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digest.configuration import parse
from digest.demo.catcher import Catcher, Caught
from digest.pages import make_server
from digest.sample import SampleBlog
from digest.settings import Settings
from digest.wiring import House, build
from subscribers.keys import write_keys
from tests.house import keys


@dataclass
class Clock:
    """A clock that a test sets."""

    now: dt.datetime

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **span: float) -> None:
        """Let time pass."""
        self.now += dt.timedelta(**span)


@dataclass
class Newsroom:
    """What a story plays with."""

    house: House
    clock: Clock
    blog: SampleBlog
    catcher: Catcher
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def base(self) -> str:
        """Where the pages are."""
        return self.house.settings.web.base_url

    def send_letters(self) -> None:
        """Let the worker send what waits."""
        self.loop.run_until_complete(self.house.worker().send_letters(asyncio.Event()))

    def send_issues(self) -> None:
        """Let the worker send the issues that are due."""
        self.loop.run_until_complete(self.house.worker().send_issues(asyncio.Event()))

    def letters_to(self, address: str) -> list[Caught]:
        """What that address got."""
        return [caught for caught in self.catcher.caught if caught.recipient == address]

    def subscribe(self, address: str) -> str:
        """Fill in the form like a person; returns the answer's page."""
        _, form = get(f"{self.base}/")
        fields = hidden_fields(form)
        self.clock.forward(seconds=10)
        _, answer = post(f"{self.base}/subscribe", {**fields, "email": address, "website": ""})
        return answer

    def confirm(self, address: str) -> str:
        """Follow the newest letter's link and press the button; returns the page."""
        link = first_link(self.letters_to(address)[-1], "/confirm/")
        _, page = get(link)
        _, answer = post(link, hidden_fields(page))
        return answer

    def reader(self, address: str) -> None:
        """Make somebody a confirmed reader, by the form and the letter."""
        self.subscribe(address)
        self.send_letters()
        self.confirm(address)


def settings(folder: Path, database_url: str, blog: SampleBlog, smtp_port: int, port: int, **more: Any) -> Settings:
    """The settings of a newsroom with the sample blog as its source."""
    watchdog = {
        "title": "Watchdog",
        "description": "Human rights, every Thursday.",
        "timezone": "Europe/Prague",
        "sender": "Watchdog <watchdog@digest.example>",
        "publisher": "The Newsroom, 1 Main Street, Example City",
        "sources": [{"feed": blog.feed}, {"feed": blog.trouble_feed, "section": "Journalists in Trouble"}],
        **more,
    }
    data = {
        "newsletters": {"watchdog": watchdog},
        "database": {"url": database_url},
        "web": {"base_url": f"http://127.0.0.1:{port}", "port": port},
        "smtp": {"url": f"smtp+plain://127.0.0.1:{smtp_port}"},
        "fetch": {"allow_private": ["127.0.0.1"], "delay": 0},
    }
    return parse(data, {}, folder / "digest.toml")


@contextlib.contextmanager
def newsroom(folder: Path, database_url: str, now: dt.datetime, **more: Any) -> Iterator[Newsroom]:
    """An installation with its pages served; `more` are keys of the newsletter."""
    write_keys(folder / "digest.keys", keys())
    clock = Clock(now)
    with Catcher() as catcher, SampleBlog(now=now) as blog, _port() as port:
        house = build(settings(folder, database_url, blog, catcher.smtp_port, port, **more), clock)
        with _served(house):
            room = Newsroom(house, clock, blog, catcher)
            yield room
            room.loop.close()
        house.database.close()


@contextlib.contextmanager
def _port() -> Iterator[int]:
    """A free port: the pages' address has to be known before they are served."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    yield port


@contextlib.contextmanager
def _served(house: House) -> Iterator[None]:
    server = make_server(house)
    started = threading.Event()
    notify = server.startup

    async def startup(sockets: Any = None) -> None:
        await notify(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    started.wait(10)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(15)


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, **headers: str) -> tuple[int, str]:
    """The status and the text of a page."""
    return _answer(urllib.request.Request(url, headers=headers))


def post(url: str, fields: dict[str, str], **headers: str) -> tuple[int, str]:
    """The status and the text of the answer to a form."""
    return _answer(urllib.request.Request(url, urllib.parse.urlencode(fields).encode(), headers))


def _answer(request: urllib.request.Request) -> tuple[int, str]:
    try:
        with _OPENER.open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def hidden_fields(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def first_link(caught: Caught, path: str) -> str:
    """The first link to that path in a message's text part."""
    found = re.search(rf"https?://\S+{re.escape(path)}\S+", caught.part("plain"))
    assert found is not None, f"no link to {path}"
    return found[0]
