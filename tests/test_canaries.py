"""Addresses that went through the whole product are nowhere to be found: files, logs, tables, processes (O-53)."""

from __future__ import annotations

import base64
import datetime as dt
import json
import logging
import quopri
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from digest.cli.logs import set_up_logs
from digest.issues import checks, control
from digest.issues.draft import draft
from digest.issues.outcomes import Done
from digest.issues.publish import Published, publish
from digest.models import Delivery, LogEntry
from digest.settings import Smtp
from digest.web.accounts import add_user
from subscribers.db import Database
from subscribers.models import Subscriber
from subscribers.service import Entered, Refused
from subscribers.suppression import COMPLAINT, suppress
from tests.canary import Canary
from tests.commands import run
from tests.newsroom import Newsroom, get, hidden_fields, newsroom, post
from tests.smtp_server import Moment, Say, ScriptedServer

WEDNESDAY = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
EVIDENCE = "asked by letter"


@dataclass
class Machine:
    """An installation with everything that it keeps in one place: database, logs, temporary files."""

    room: Newsroom
    folder: Path
    since: float

    def command(self, *words: str, typed: str = "", code: int = 0) -> None:
        """Run a command; what it says goes where the logs are."""
        ended, said = run(self.folder, *words, typed=typed)
        with (self.folder / "commands.log").open("a") as log:
            log.write(said)
        assert ended == code, said

    def search(self, canary: Canary) -> dict[str, set[str]]:
        """Where the canary is."""
        database = self.room.house.database
        places = [self.folder]
        if not database.is_sqlite:
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                # The tables' files are written only now; the write-ahead log is there already.
                connection.exec_driver_sql("CHECKPOINT")
                places.append(Path(str(connection.exec_driver_sql("SHOW data_directory").scalar())))
        return {
            **canary.found_in_files(*places, since=self.since),
            **canary.found_in_processes(),
            **canary.found_in_tables(database),
        }


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Our log as the roles write it, and beside it, unfenced, whatever a library would say to whoever debugs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    with (folder / "digest.log").open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        set_up_logs()
        raw = logging.FileHandler(folder / "libraries.log")
        raw.setLevel(logging.DEBUG)
        # The catcher speaks through this one, and it is the other side's relay.
        raw.addFilter(lambda record: record.name != "mail.log")
        root.addHandler(raw)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            raw.close()
            structlog.reset_defaults()
            root.handlers[:] = handlers
            root.setLevel(level)


@contextmanager
def machine(folder: Path, url: str) -> Iterator[Machine]:
    """Everything of an installation, in a folder."""
    since = time.time() - 5
    (folder / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "tmp"))
        patch.setattr(tempfile, "tempdir", None)
        with logged(folder), newsroom(folder, url, WEDNESDAY) as room:
            found = room.house.settings
            feed = found.newsletters["watchdog"].sources[0].url
            config = (
                f'[newsletters.watchdog]\ntitle = "Watchdog"\nsender = "W <w@digest.example>"\n'
                f'sources = [{{ feed = "{feed}" }}]\n'
                f'[database]\nurl = "{url}"\n[smtp]\nurl = "{found.smtp.url}"\n[web]\nbase_url = "{room.base}"\n'
            )
            (folder / "digest.toml").write_text(config)
            yield Machine(room, folder, since)


def refuse_by_name(moment: Moment) -> Say | None:
    """A relay that repeats the address in each refusal, as relays do."""
    address = moment.argument.partition("<")[2].partition(">")[0].encode()
    if moment.command == "RCPT" and b"refused" in address.lower():
        return Say(
            b"550-5.1.1 <" + address + b">: Recipient address rejected\r\n550 5.1.1 " + address + b" unknown\r\n"
        )
    if moment.command == "RCPT" and b"deferred" in address.lower():
        return Say(b"451 4.2.1 mailbox of " + address + b" is busy\r\n")
    return None


def sign_up(at: Machine, canary: Canary) -> None:
    """The form and its answers, good and bad; the letters; what the pages are asked that they should not be."""
    room, good = at.room, canary.address("reader")
    room.reader(good)
    room.subscribe(good)
    room.send_letters()
    for wrong in (
        f"{good} x",
        f"{good}@twice",
        f"<{good}>, {good}",
        good.replace("@", "%40"),
        f"{good}\r\nBcc: {good}",
    ):
        room.subscribe(wrong)
    quoted = urllib.parse.quote(good)
    told = {"Referer": f"https://example.org/?{quoted}", "User-Agent": good, "X-Forwarded-For": good, "Cookie": good}
    for path in ("/", "/subscribe", "/confirm/", "/u/", "/manage/", "/never/", "/desk/", "/nowhere/", "/static/"):
        get(f"{room.base}{path}{quoted}?email={quoted}", **told)
        post(f"{room.base}{path}{quoted}", {"email": good, good: good}, **told)
    for typed in ({"name": good, "password": good}, {"name": "anna", "password": good}):
        _, form = get(f"{room.base}/desk/login?next=/{quoted}")
        post(f"{room.base}/desk/login", {**hidden_fields(form), **typed}, Origin=room.base)


def lists(at: Machine, canary: Canary, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists come in and go out: the operator's own files have the addresses, and nothing of ours does.

    `papers` is where the operator keeps them.
    """
    path = papers / "list.csv"
    rows = (
        f"{canary.address('listed')},subscribed",
        f"{canary.address('elsewhere')},unsubscribed",
        f"{canary.address('spam')},complained",
        f"{canary.address('a b')},subscribed",
        f"{canary.address('standing')},{canary.address('status')}",
        f"=HYPERLINK({canary.address('formula')}),subscribed",
        f"{canary.address('cells')},subscribed,{canary.address('more')}",
    )
    path.write_text("email,status\n" + "\n".join(rows) + "\n")
    importing = ("subscribers", "import", str(path), "-n", "watchdog", "--map", "email=email,status=status")
    at.command(*importing, "--dry-run", "--evidence", EVIDENCE)
    # As a large file is: by a process of its own, which is given what it needs through a pipe.
    monkeypatch.setattr("subscribers.transfer.bringing.LARGE", 1)
    at.command(*importing, "--yes", "--evidence", EVIDENCE)
    at.command(*importing, "--yes", "--evidence", canary.address("evidence"), code=1)
    at.command("subscribers", "export", "-n", "watchdog", "-o", str(papers / "out.csv"), "--yes")
    assert canary.found_in((papers / "out.csv").read_bytes())
    assert canary.found_in((papers / "list.csv.rejected.csv").read_bytes())


def by_hand(at: Machine, canary: Canary) -> None:
    """What an operator types, at the command line's standard input."""
    entering = ("subscribers", "add", "-", "-n", "watchdog", "--confirmed")
    at.command(*entering, "--evidence", EVIDENCE, typed=f"{canary.address('hand')}\n")
    at.command(*entering, "--evidence", EVIDENCE, typed=f"{canary.address('a b')}\n", code=1)
    house = at.room.house
    for name in ("refused", "deferred", "gone"):
        assert isinstance(house.service.enter("watchdog", canary.address(name), EVIDENCE, at.room.clock()), Entered)
    assert isinstance(house.service.enter("watchdog", "x@y.org", canary.address("why"), at.room.clock()), Refused)
    house.vault.prepare()
    with house.database.write() as session:
        add_user(
            session, house.vault, "anna", "a long pass phrase", "publisher", canary.address("desk"), at.room.clock()
        )


def send(at: Machine, canary: Canary) -> None:
    """An issue and a test copy, over a relay that repeats addresses in its refusals."""
    room, house = at.room, at.room.house
    paper = house.newsletter("watchdog")
    house.gather(paper, room.clock())
    room.clock.now = dt.datetime(2026, 11, 19, 5, 30, tzinfo=dt.UTC)
    opened = draft(house.database, paper, room.clock())
    at.command("test-send", "--to", "anna", opened.name)
    room.clock.now = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)
    with house.database.write() as session:
        assert suppress(session, house.vault, _last_reader(session), COMPLAINT, room.clock())
    with house.database.read() as session:
        findings = checks.check(session, opened.issue_id, paper, house.renderer, room.base)
    with house.database.write() as session:
        done = control.approve(session, opened.issue_id, who="anna", now=room.clock(), findings=findings)
    assert isinstance(done, Done)
    frozen = publish(house.database, opened.issue_id, paper, house.renderer, room.base, room.clock(), at_once=True)
    assert isinstance(frozen, Published)
    with ScriptedServer(plan=refuse_by_name) as relay:
        elsewhere = house.settings.model_copy(update={"smtp": Smtp(url=f"smtp+plain://127.0.0.1:{relay.port}")})
        room.house = replace(house, settings=elsewhere)
        room.send_letters()
        room.send_issues()
        room.house = house
    # They were really written to the relay, and it really said the addresses.
    assert {one.partition(".")[2].partition("@")[0] for one in relay.accepted} == {"reader", "hand", "listed"}
    # The command posted it by the machine's own clock.
    room.clock.now = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    room.send_letters()
    assert room.letters_to(canary.address("desk"))
    with house.database.read() as session:
        replies = [reply for reply in session.scalars(sa.select(Delivery.reply)) if reply]
    assert any("5.1.1" in reply for reply in replies)
    assert any("4.2.1" in reply for reply in replies)


def _last_reader(session: Session) -> int:
    return session.scalars(sa.select(sa.func.max(Subscriber.id))).one()


def upkeep(at: Machine) -> None:
    """What is done to the whole list."""
    at.command("keys", "rotate", "--no-wait")
    at.command("keys", "check", "--all")
    at.command("report", "watchdog/2026-W47")


def crash(at: Machine, canary: Canary, papers: Path) -> None:
    """The database fails in the middle of a sign-up and an import: tracebacks with everything that was at hand."""
    room, database = at.room, at.room.house.database
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE letter_memory RENAME TO elsewhere")
    answer = room.subscribe(canary.address("crash"))
    assert "broken" in (at.folder / "digest.log").read_text()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE subscribers RENAME TO people")
    entering = ("subscribers", "add", "-", "-n", "watchdog", "--confirmed", "--evidence", EVIDENCE)
    at.command(*entering, typed=f"{canary.address('crash')}\n", code=1)
    (papers / "crash.csv").write_text(f"email\n{canary.address('crash')}\n")
    importing = ("subscribers", "import", str(papers / "crash.csv"), "-n", "watchdog", "--map", "email=email")
    at.command(*importing, "--yes", "--evidence", EVIDENCE, code=1)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE people RENAME TO subscribers")
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO letter_memory")
    assert canary.word not in answer.lower()


def test_no_address_is_anywhere(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    canary, papers = Canary(), tmp_path_factory.mktemp("papers")
    with machine(tmp_path, database_url) as at:
        sign_up(at, canary)
        lists(at, canary, papers, monkeypatch)
        by_hand(at, canary)
        send(at, canary)
        upkeep(at)
        crash(at, canary, papers)
        # The mail itself has them, so they were really there.
        assert any(canary.found_in(caught.raw) for caught in at.room.catcher.caught)
        assert at.search(canary) == {}
        # And would have been found: in the log, in a table, in the database's own files.
        planted = Canary()
        logging.getLogger("a.library").debug("RCPT TO:<%s>", planted.address("log"))
        with at.room.house.database.write() as session:
            session.execute(sa.update(Delivery).values(reply=planted.address("reply")))
        found = at.search(planted)
    names = {Path(where).name for where in found}
    assert {"libraries.log"} < names
    assert any("deliveries" in where for where in found)
    assert any(name.startswith("digest.db") or set(name) <= set("0123456789ABCDEF") for name in names)


WORD = Canary("canary0123456789")


@pytest.mark.parametrize(
    "octets",
    [
        WORD.address("x").encode(),
        WORD.address("x").upper().encode(),
        WORD.address("x")[::-1].encode(),
        WORD.address("x").encode().hex().upper().encode(),
        WORD.address("x").encode().hex().encode(),
        WORD.address("x").encode()[::-1].hex().encode(),
        "".join(f"%{ord(char):02X}" for char in WORD.address("x")).encode(),
        "".join(f"={ord(char):02X}" for char in WORD.address("x")).encode(),
        quopri.encodestring(f"é {WORD.address('x')}".encode()),
        json.dumps({"to": WORD.address("x")}).encode(),
        WORD.address("x").encode("utf-16-le"),
        *(base64.b64encode(b"-" * shift + WORD.address("x").encode()) for shift in range(6)),
        *(base64.urlsafe_b64encode(b"-" * shift + WORD.address("x").upper().encode()) for shift in range(3)),
    ],
)
def test_the_search_finds_a_canary_in_every_spelling(octets: bytes) -> None:
    assert WORD.found_in(b"\0before" + octets + b"after\xff")
    assert not Canary().found_in(b"\0before" + octets + b"after\xff")


def test_the_search_finds_one_in_files_processes_and_tables(tmp_path: Path, sqlite_database: Database) -> None:
    canary = Canary()
    assert (
        canary.found_in_files(tmp_path) == canary.found_in_processes() == canary.found_in_tables(sqlite_database) == {}
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(base64.b64encode(canary.address("x").encode()))
    (tmp_path / f"{canary.word}.txt").write_text("its name is enough")
    assert {Path(where).name for where in canary.found_in_files(tmp_path)} == {"file", f"{canary.word}.txt"}
    assert canary.found_in_files(tmp_path, since=time.time() + 60) == {}
    sleeper = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", canary.address("argument")]
    with subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert f"/proc/{process.pid}/cmdline" in canary.found_in_processes()
        process.communicate()
    with sqlite_database.write() as session:
        at = dt.datetime(2026, 11, 18, tzinfo=dt.UTC)
        session.add(LogEntry(at=at, who=canary.address("x"), action="a", object="b"))
    assert list(canary.found_in_tables(sqlite_database)) == ['"log"']
