"""The demonstration: a sample blog, a mail catcher, and a Thursday from the first post to the last reader."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import html
import re
import secrets
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from digest.calendar import united
from digest.configuration import parse
from digest.demo.catcher import Catcher
from digest.issues import checks, control
from digest.issues.draft import Drafted, draft
from digest.issues.outcomes import Refused
from digest.issues.publish import Published, publish
from digest.mail.ledger import Equation, equation
from digest.models import Issue
from digest.queue import jobs
from digest.run import CannotListen, Roles, listen, serve
from digest.sample import SampleBlog
from digest.settings import Newsletter, Settings
from digest.web.accounts import add_user
from digest.wiring import House, build
from subscribers.keys import make_keys, write_keys
from subscribers.web.form import QUICKEST

Say = Callable[[str], None]

READERS = ("ada@readers.example", "boris@readers.example", "chiara@readers.example")
EDITOR = "editor"
HOST = "127.0.0.1"
USUAL_PORT = 8000
PATIENCE = 30.0
"""Seconds to wait for mail that should take one."""


class Stuck(Exception):
    """The story cannot go on; the message says where."""


@dataclass
class Stage:
    """What the story plays on."""

    house: House
    blog: SampleBlog
    catcher: Catcher
    door: socket.socket
    """Where the pages are served."""
    password: str
    say: Say

    @property
    def newsletter(self) -> Newsletter:
        """The one newsletter of the demonstration."""
        return self.house.newsletter("watchdog")

    @property
    def base(self) -> str:
        """Where the pages are."""
        return self.house.settings.web.base_url


def run_demo(*, once: bool, port: int | None, say: Say) -> bool:
    """Play the story; with `once` end then, else go on serving until stopped.

    `port` is for the pages, 0 any that is free; none: the usual one, or another where it is taken. Returns whether
    every reader got exactly one issue. Raises `CannotListen` where the port that was asked for is taken.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="digest-demo-")))
        door = stack.enter_context(_door(port, say))
        stage = _set(stack, folder, door, say)
        stopping = stack.enter_context(_served(stage))
        try:
            good = _play(stage)
        except Stuck as error:
            say(f"The story is stuck: {error}")
            good = False
        if good and not once:
            _tell_where(stage)
            with contextlib.suppress(KeyboardInterrupt):
                while not stopping.wait(3600):
                    pass
    return good


def _set(stack: contextlib.ExitStack, folder: Path, door: socket.socket, say: Say) -> Stage:
    now = dt.datetime.now(dt.UTC)
    catcher = stack.enter_context(Catcher())
    write_keys(folder / "digest.keys", make_keys())
    # The posts have to fall into the window that has just ended, and that depends on the calendar alone.
    calendar = united(_settings(folder, "http://127.0.0.1/", "http://127.0.0.1/", 0, 25).newsletters["watchdog"])
    window = calendar.window(calendar.drafting(now))
    blog = stack.enter_context(SampleBlog(now=window.end, since=window.start))
    settings = _settings(folder, blog.feed, blog.trouble_feed, door.getsockname()[1], catcher.smtp_port)
    house = build(settings)
    stack.callback(house.database.close)
    password = secrets.token_urlsafe(12)
    house.vault.prepare()
    with house.database.write() as session:
        add_user(session, house.vault, EDITOR, password, "admin", "editor@newsroom.example", house.clock())
    return Stage(house, blog, catcher, door, password, say)


def _settings(folder: Path, feed: str, trouble: str, port: int, smtp_port: int) -> Settings:
    watchdog = {
        "title": "Watchdog",
        "description": "Human rights, civil society and press freedom, every Thursday.",
        "timezone": "Europe/Prague",
        "sender": "Watchdog <watchdog@digest.example>",
        "publisher": "The Sample Newsroom, 1 Main Street, Example City",
        "sources": [{"feed": feed}, {"feed": trouble, "section": "Journalists in Trouble"}],
    }
    data = {
        "newsletters": {"watchdog": watchdog},
        "web": {"base_url": f"http://{HOST}:{port}", "host": HOST, "port": port},
        "smtp": {"url": f"smtp+plain://127.0.0.1:{smtp_port}"},
        "fetch": {"allow_private": ["127.0.0.1"], "delay": 0},
    }
    return parse(data, {}, folder / "digest.toml")


def _door(port: int | None, say: Say) -> socket.socket:
    if port is not None:
        try:
            return listen(HOST, port)
        except CannotListen as error:
            raise CannotListen(f"port {port} on {HOST} cannot be had; ask for another, or for 0: any") from error
    try:
        return listen(HOST, USUAL_PORT)
    except CannotListen:
        door = listen(HOST, 0)
        say(f"Port {USUAL_PORT} is taken; the pages are on port {door.getsockname()[1]} instead.")
        return door


@contextlib.contextmanager
def _served(stage: Stage) -> Iterator[threading.Event]:
    """Pages and sending, as `digest up` has them, in a thread; ends with the block."""
    over = threading.Event()
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    def work() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(
                serve(stage.house, Roles(web=True, worker=True), door=stage.door, stopping=stopping)
            )
        over.set()

    thread = threading.Thread(target=work, name="digest up")
    thread.start()
    try:
        _wait_for_pages(stage.base)
        yield over
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stopping.set)
        thread.join()


def _play(stage: Stage) -> bool:
    for reader in READERS:
        _subscribe(stage, reader)
    if not stage.catcher.wait_for(len(READERS), seconds=PATIENCE):
        raise Stuck("the confirmation letters do not come")
    stage.say(f"1. {len(READERS)} readers asked for it by the form, and each was sent one letter to confirm.")
    for caught in list(stage.catcher.caught):
        _confirm(caught.part("plain"))
    stage.say("2. Each followed the link and pressed the button. (Opening the link alone changes nothing.)")
    _gather(stage)
    drafted = draft(stage.house.database, stage.newsletter, stage.house.clock())
    stage.say(f"4. The draft {drafted.name} stands with {drafted.items} stories.")
    _approve(stage, drafted)
    return _send(stage, drafted)


def _subscribe(stage: Stage, reader: str) -> None:
    form = _get(f"{stage.base}/")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    # The form knows how fast programs are, and takes what people send.
    time.sleep(QUICKEST.total_seconds() + 0.1)
    _post(f"{stage.base}/subscribe", {**fields, "email": reader, "website": ""})


def _confirm(letter: str) -> None:
    link = re.search(r"http://\S+/confirm/\S+", letter)
    if not link:
        raise Stuck("a letter has no link to confirm")
    page = _get(link[0])
    proof = re.search(r'name="proof" value="([^"]*)"', page)
    _post(link[0], {"proof": html.unescape(proof[1]) if proof else ""})


def _gather(stage: Stage) -> None:
    reports = stage.house.gather(stage.newsletter, stage.house.clock())
    if wrong := [report.reason for report in reports if report.reason]:
        raise Stuck(f"a source cannot be read: {wrong}")
    new = sum(report.new for report in reports)
    stage.say(f"3. {len(reports)} sources of the sample blog were read: {new} posts.")


def _approve(stage: Stage, drafted: Drafted) -> None:
    house = stage.house
    with house.database.read() as session:
        findings = checks.check(session, drafted.issue_id, stage.newsletter, house.renderer, stage.base)
    with house.database.write() as session:
        result = control.approve(session, drafted.issue_id, who=EDITOR, now=house.clock(), findings=findings)
    if isinstance(result, Refused):
        raise Stuck(result.reason)
    stage.say(f"5. The checks had {len(findings)} remarks and nothing against it; the editor approved it.")


def _send(stage: Stage, drafted: Drafted) -> bool:
    house = stage.house
    frozen = publish(
        house.database,
        drafted.issue_id,
        stage.newsletter,
        house.renderer,
        stage.base,
        house.clock(),
        who=EDITOR,
        at_once=True,
        enqueue=jobs.enqueue,
    )
    if not isinstance(frozen, Published):
        raise Stuck(frozen.reason)
    stage.catcher.wait_for(2 * len(READERS), seconds=PATIENCE)
    books = _settled(house, drafted.issue_id)
    got = Counter(caught.recipient for caught in stage.catcher.caught if caught.is_issue)
    stage.say(
        f"6. It went out. audience {books.audience} = {books.accepted} accepted + {books.rejected} rejected + "
        f"{books.excluded} excluded + {books.unknown} unknown"
    )
    good = got == Counter(READERS) and books.closes
    stage.say("   Every reader got exactly one issue." if good else f"   That is wrong: {sorted(got.values())}")
    return good


def _settled(house: House, issue_id: int) -> Equation:
    """The accounts once they are closed, or as they are when patience ends."""
    patience_ends = time.monotonic() + PATIENCE
    while True:
        with house.database.read() as session:
            books = equation(session, issue_id)
            is_over = session.get_one(Issue, issue_id).finished_at is not None
        if is_over or time.monotonic() > patience_ends:
            return books
        time.sleep(0.1)


def _tell_where(stage: Stage) -> None:
    stage.say("")
    for what, where in (
        ("the form", f"{stage.base}/"),
        ("the desk", f"{stage.base}/desk/   (log in as {EDITOR!r} with {stage.password!r})"),
        ("the archive", f"{stage.base}/issues/"),
        ("the caught mail", stage.catcher.url),
        ("the sample blog", stage.blog.page),
    ):
        stage.say(f"{what:>16}  {where}")
    stage.say("\nEverything stays on this machine and is gone when you press Ctrl+C.")


def _wait_for_pages(base: str) -> None:
    patience_ends = time.monotonic() + PATIENCE
    while True:
        try:
            _get(f"{base}/healthz")
        except OSError:
            if time.monotonic() > patience_ends:
                raise Stuck("the pages do not come up") from None
            time.sleep(0.05)
        else:
            return


def _get(url: str) -> str:
    return _open(urllib.request.Request(url))  # noqa: S310 -- our own pages on loopback.


def _post(url: str, fields: dict[str, str]) -> str:
    data = urllib.parse.urlencode(fields).encode()
    return _open(urllib.request.Request(url, data))  # noqa: S310


# The machine's proxy is not asked: nothing here leaves it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _open(request: urllib.request.Request) -> str:
    try:
        with _OPENER.open(request, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        with error:
            raise Stuck(f"{error.code} from {urllib.parse.urlsplit(request.full_url).path.split('/')[1]}") from error
