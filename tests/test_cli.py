"""The command line as an operator uses it: exit codes, one clear line, and roles as processes of their own."""

import asyncio
import datetime as dt
import getpass
import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from digest import migrations
from digest.cli import doctor, issues, printing
from digest.cli.relay import explained
from digest.demo.catcher import Catcher
from digest.issues.sheet import LOOKS
from digest.mail.smtp import Interrupted, Limits, open_session
from digest.models import Issue
from digest.sample import SampleBlog
from digest.settings import Smtp
from digest.wiring import utc_now
from subscribers.db import Database
from tests.commands import told
from tests.issues.newsroom import make_newsletter


class Desk:
    """A folder with an installation, and the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}

    def __call__(self, *words: str, code: int = 0, **environ: str) -> str:
        return told(self.folder, *words, code=code, **environ)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A role that runs until it is stopped."""
        return subprocess.Popen(
            [sys.executable, "-m", "digest", *words],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def empty(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An installation with the sample blog as its source and a catcher as its relay."""
    made = Desk(tmp_path)
    made("init")
    now = utc_now()
    with Catcher() as catcher, SampleBlog(now=now) as blog, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        config = (tmp_path / "digest.toml").read_text()
        config = config.replace("https://www.example.org/api/", blog.feed)
        config = config.replace("smtp+plain://127.0.0.1:25", f"smtp+plain://127.0.0.1:{catcher.smtp_port}")
        config = config.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{port}").replace(
            "port = 8000", f"port = {port}"
        )
        config = config.replace("# allow_private = [", 'allow_private = ["127.0.0.1", ').replace(
            "[fetch]", "[fetch]\ndelay = 0"
        )
        # The window has to hold the posts of these last days, whatever day this test runs on.
        today = now.strftime("%a").lower()
        config = config.replace('timezone = "Europe/Prague"', 'timezone = "UTC"')
        config = config.replace('cutoff = "thu 06:00"', f'cutoff = "{today} {now:%H:%M}"')
        config = config.replace('send = "thu 10:00"', f'send = "{today} {now:%H:%M}"')
        (tmp_path / "digest.toml").write_text(config)
        made.catcher = catcher  # type: ignore[attr-defined]
        made.base = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
        yield made


def test_without_a_configuration_it_says_what_to_do(empty: Desk) -> None:
    assert "digest init" in empty("status", code=1)


def test_a_wrong_word_is_wrong_usage(empty: Desk) -> None:
    assert "No such command" in empty("snd", code=2)
    assert "--newsletter" in empty("subscribers", "add", "x@y.org", code=2)


def test_init_never_overwrites(empty: Desk) -> None:
    empty("init")
    before = (empty.folder / "digest.toml").read_text(), (empty.folder / "digest.keys").read_text()
    assert "nothing was changed" in empty("init", code=1)
    assert ((empty.folder / "digest.toml").read_text(), (empty.folder / "digest.keys").read_text()) == before
    assert (empty.folder / "digest.keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("there", "missing"), [("digest.toml", "digest.keys"), ("digest.keys", "digest.toml")])
def test_init_writes_what_is_missing_and_keeps_the_rest(empty: Desk, there: str, missing: str) -> None:
    (empty.folder / there).write_text("mine")
    assert f"{there} is there, kept; wrote {missing}" in empty("init")
    assert (empty.folder / there).read_text() == "mine"
    assert (empty.folder / missing).stat().st_size > 0


def test_what_cannot_be_written_is_said_in_one_line(desk: Desk) -> None:
    (desk.folder / "file").write_text("in the way")
    assert desk("init", "file/below", code=1).startswith("file/below cannot be written: ")
    assert "cannot be written: " in desk("keys", "make", code=1, DIGEST_KEYS="file/digest.keys")
    desk("gather")
    desk("draft")
    assert desk("preview", "--to", "file", code=1).startswith("file cannot be written: ")


def test_the_version_is_printed(empty: Desk) -> None:
    assert re.fullmatch(r"digest \d+\.\d+\.\d+\n", empty("--version"))


def test_a_wrong_configuration_starts_nothing(empty: Desk) -> None:
    empty("init")
    said = empty("up", code=1, DIGEST_WEB_PORT="many", DIGEST_FETCH_INTERVAL="often")
    assert "web.port" in said
    assert "fetch.interval" in said
    assert not (empty.folder / "digest.db").exists()


def test_a_thursday_by_hand(desk: Desk) -> None:
    desk(
        "subscribers", "add", "reader@readers.example", "-n", "watchdog", "--confirmed", "--evidence", "asked on paper"
    )
    assert json.loads(desk("subscribers", "count", "--json"))["watchdog"]["confirmed"] == 1
    assert "who has not agreed" in desk("subscribers", "add", "x@readers.example", "-n", "watchdog", code=1)
    (report,) = json.loads(desk("gather", "--json"))["watchdog"]
    assert report["reason"] is None
    assert report["new"] >= 5
    (drafted,) = json.loads(desk("draft", "--json"))
    assert drafted["created"] is True
    name = drafted["name"]
    first = json.loads(desk("show", name, "--json"))["items"][0]
    assert desk("add", name, f"{first['link']}?utm_source=x") == f"{name} has the story. It was in the issue already.\n"
    assert "none of the newsletter’s sources" in desk("add", name, "https://elsewhere.example/a", code=1)
    desk("check", name)
    desk("preview", name, "--to", "out")
    assert (desk.folder / "out" / f"{name.replace('/', '-')}.html").read_text().startswith("<!doctype html>")
    assert "subject: Weekly digest" in desk("preview", name, "--to", "out", "--format", "full", "--neutral")
    assert (desk.folder / "out" / f"{name.replace('/', '-')}-full-neutral.html").exists()
    desk("preview", name, "--to", "out", "--format", "text")
    assert not (desk.folder / "out" / f"{name.replace('/', '-')}-text.html").exists()
    octets = (desk.folder / "out" / f"{name.replace('/', '-')}.eml").read_bytes()
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in octets
    assert desk("preview", name, "--sheet", "sheet.html") == "wrote sheet.html\n"
    assert (desk.folder / "sheet.html").read_text().count("<iframe") == len(LOOKS)
    assert "there is one look" in desk("preview", name, "--sheet", "sheet.png", "--format", "text", code=1)
    assert "There is no program 'nobody'" in desk("preview", name, "--sheet", "s.png", "--browser", "nobody", code=1)
    assert "only an approved issue" in desk("send", name, "--now", code=1)
    assert "; its hour was " in desk("approve", name)
    said = desk("send", name, "--now")
    assert "1 of 1 readers settled\n" in said
    assert "audience 1 = 1 accepted + 0 rejected + 0 excluded + 0 unknown" in said
    assert "was sent before; nothing was done" in desk("send", name, "--now")
    status = json.loads(desk("status", name, "--json"))
    assert {key: status[key] for key in ("audience", "accepted", "queued", "state")} == {
        "audience": 1,
        "accepted": 1,
        "queued": 0,
        "state": "sent",
    }
    assert [caught.recipient for caught in desk.catcher.caught] == ["reader@readers.example"]  # type: ignore[attr-defined]


def test_without_an_issue_it_says_how_one_is_opened(desk: Desk) -> None:
    desk("subscribers", "never", "nobody@readers.example")  # So that there is a database.
    assert desk("show", code=1) == "watchdog has no issue yet; `digest draft` opens one.\n"
    desk("draft")
    assert "There is no issue watchdog/2020-W01; the newest is" in desk("show", "watchdog/2020-W01", code=1)
    said = desk("show")
    assert said.count("UTC") == 1
    # Nothing was gathered, so the issue is held for several reasons, each a line of its own.
    assert re.search(r"^hold reason: .+\n  \S", said, re.MULTILINE)
    assert re.search(r"^why: .+\n  \S", desk("status"), re.MULTILINE)


def test_schedule_prints_local_and_utc(desk: Desk) -> None:
    sends = json.loads(desk("schedule", "--json", "--count", "3"))["watchdog"]
    assert len(sends) == 3
    assert "UTC" in desk("schedule")
    assert not (desk.folder / "digest.db").exists()


def test_doctor_finds_a_relay_that_is_not_there(desk: Desk) -> None:
    assert "hard subjects" in desk("doctor")
    said = desk("doctor", code=1, DIGEST_SMTP_URL="smtp+plain://127.0.0.1:1")
    assert re.search(r"^WRONG +relay +127\.0\.0\.1:1: nothing listens on that port; see \[smtp\] url \(", said, re.M)


def test_doctor_names_a_provider_s_hook_that_is_set_up_half_way(desk: Desk) -> None:
    assert "no mail provider tells of bounces" in desk("doctor")
    key, path = "a-signing-key", "a-path-of-its-own-" + "x" * 22
    said = desk("doctor", code=1, DIGEST_HOOKS_MAILGUN_KEY=key)
    assert re.search(r"^WRONG +hooks +mailgun is shut out until \[hooks\] mailgun_path", said, re.M)
    assert key not in said
    said = desk("doctor", DIGEST_HOOKS_MAILGUN_KEY=key, DIGEST_HOOKS_MAILGUN_PATH=path)
    assert "mailgun may tell of bounces" in said


def test_doctor_makes_no_database_and_knows_no_sources_yet(desk: Desk) -> None:
    said = desk("doctor")
    assert "not made yet; `digest up` makes it" in said
    assert re.search(r"sources +not read yet", said)
    assert not (desk.folder / "digest.db").exists()
    desk("draft")
    assert re.search(r"sources +not read yet", desk("doctor"))
    desk("gather")
    assert "1 of 1 were read" in desk("doctor")


def test_doctor_says_what_is_wrong_with_a_database_and_leaves_it(desk: Desk) -> None:
    (desk.folder / "digest.db").write_bytes(b"no database at all " * 100)
    said = desk("doctor", code=1)
    assert re.search(r"^WRONG +database .*cannot be reached or opened", said, re.MULTILINE)
    assert "sources" not in said
    assert (desk.folder / "digest.db").read_bytes() == b"no database at all " * 100
    said = desk("doctor", code=1, DIGEST_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert re.search(r"^WRONG +database ", said, re.MULTILINE)
    assert "is not there; make it" in desk("doctor", code=1, DIGEST_DATABASE_URL="sqlite:///nowhere/digest.db")


def test_doctor_says_that_nothing_can_be_written_in_the_folder(desk: Desk) -> None:
    # A folder of the kernel's, since the tests may run as root, whom no mode stops.
    said = desk("doctor", code=1, DIGEST_DATABASE_URL="sqlite:////proc/self/fdinfo/digest.db")
    found = re.search(r"^WRONG +database +nothing can be written in the folder (\S+) by (\S+) \(", said, re.MULTILINE)
    assert found
    assert found[1] == "/proc/self/fdinfo"
    assert found[2] == getpass.getuser()


def test_what_is_made_is_for_its_owner_alone_and_doctor_says_what_is_not(desk: Desk) -> None:
    desk("gather")
    made = [path for path in desk.folder.iterdir() if path.is_file()]
    assert {path.name for path in made} >= {"digest.toml", "digest.db", "digest.keys"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
    assert re.search(r"^ok +files ", desk("doctor"), re.MULTILINE)
    (desk.folder / "digest.db").chmod(0o644)
    said = desk("doctor")
    assert re.search(
        r"^note +files +everybody on this machine can read \S+/digest\.db[,;].* `chmod 600`", said, re.MULTILINE
    )


@pytest.mark.parametrize(
    "words",
    [("subscribers", "count"), ("keys", "check", "--all"), ("keys", "rotate", "--status"), ("status",), ("show",)],
)
def test_a_question_makes_no_database(empty: Desk, words: tuple[str, ...]) -> None:
    empty("init")
    said = empty(*words, code=1)
    assert f"There is no database at {empty.folder / 'digest.db'}" in said
    assert not (empty.folder / "digest.db").exists()
    # A file that nothing is in is no database either: SQLite makes one where a process ended at once.
    (empty.folder / "digest.db").touch()
    assert "There is no database at" in empty(*words, code=1)


def test_where_nothing_is_sealed_nothing_was_checked(empty: Desk) -> None:
    empty("init")
    empty("draft")
    said = empty("keys", "check", "--all")
    assert "nothing is sealed here, so nothing was checked" in said
    assert "fit" not in said


def test_doctor_says_that_a_database_is_read_only(tmp_path: Path, sqlite_url: str) -> None:
    # Not by the file's mode: the tests may run as root, whom no mode stops.
    with closing(Database(sqlite_url)) as made:
        migrations.upgrade(made)
    with closing(Database(f"sqlite:///file:{tmp_path}/digest.db?mode=ro&uri=true")) as database:
        how, _, said = doctor._looked("database", lambda: doctor._database(database))
    assert how == doctor.WRONG
    assert "readonly" in said


def test_text_from_outside_is_printed_as_it_is(desk: Desk) -> None:
    desk("gather")
    desk("draft")
    with sqlite3.connect(desk.folder / "digest.db") as connection:
        connection.execute("UPDATE items SET headline = ?", ("[/nope] :smile: \x1b[31mred\x9b [fetch] allow_private",))
        connection.execute("UPDATE issues SET subject = ?", ("[bold]a[/x] \x1b]0;title\x07",))
    connection.close()
    said = desk("show")
    assert "[/nope] :smile: [31mred [fetch] allow_private" in said
    assert "subject: [bold]a[/x] ]0;title\n" in said
    assert "\x1b" not in said


def test_on_a_narrow_terminal_long_addresses_are_folded_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(
        file=screen, width=80, force_terminal=True, color_system=None, markup=False, emoji=False, highlight=False
    )
    monkeypatch.setattr(printing, "out", terminal)
    addresses = [f"https://www.example.org/{'a-long-way/' * 8}{number}" for number in range(2)]
    printing.print_table(("source", "new"), [(address, 1) for address in addresses])
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    # The second column stands in the first line of each row; what is folded goes on below it.
    assert "".join(line.split()[0] for line in lines[1:] if line.strip()) == "".join(addresses)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smtps://{at}", "it speaks no TLS there; smtp:// is for port 587"),
        ("smtp://{at}", "it offers no STARTTLS"),
        ("smtp+plain://user:word@{at}", "it takes no user and password there"),
        ("smtp+plain://127.0.0.1:1", "nothing listens on that port"),
        ("smtps://nobody.invalid", "no machine is known by that name"),
    ],
)
def test_a_relay_s_failure_is_said_in_words(url: str, words: str) -> None:
    with Catcher() as catcher:
        smtp = Smtp(url=url.format(at=f"127.0.0.1:{catcher.smtp_port}"))
        with pytest.raises(Interrupted) as failure:
            asyncio.run(open_session(smtp, Limits(connect=10)))
    said = explained(smtp, failure.value)
    assert said.startswith(f"{smtp.host}:{smtp.port}: {words}")
    assert "; see [smtp] url (" in said
    assert "word@" not in said


HOUR = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (HOUR - dt.timedelta(seconds=1), " and goes out on Thursday 2026-11-19 at 10:00 CET"),
        (HOUR, "; its hour was Thursday 2026-11-19 at 10:00 CET, so it goes out now"),
        (HOUR + dt.timedelta(days=4), "so it goes out now"),
    ],
)
def test_an_approval_promises_no_hour_that_is_past(now: dt.datetime, words: str) -> None:
    newsletter = make_newsletter().model_copy(update={"timezone": ZoneInfo("Europe/Prague")})
    issue = Issue(newsletter="watchdog", week="2026-W47", send_at=HOUR)
    assert words in issues.when_it_goes(issue, newsletter, now)


def test_a_desk_user_gets_a_password_and_no_weak_one(desk: Desk) -> None:
    said = desk("users", "add", "maria", "--address", "maria@desk.example", DIGEST_USER_PASSWORD="a long pass phrase")
    assert "as admin" in said
    assert "the desk's first user" in said
    # What is wrong with a name or an address is said before a password is asked for: here nobody could type one.
    assert "somebody called 'maria'" in desk("users", "add", "Maria", code=1)
    assert "A name has" in desk("users", "add", "a b", code=1)
    assert "password" not in desk("users", "add", "boris", "--address", "no address", code=1)
    assert "as editor" in desk("users", "add", "boris", DIGEST_USER_PASSWORD="a long pass phrase")
    assert "as admin" in desk("users", "add", "chiara", "--role", "admin", DIGEST_USER_PASSWORD="a long pass phrase")
    assert "already" in desk("users", "add", "maria", code=1, DIGEST_USER_PASSWORD="a long pass phrase")
    desk("users", "password", "maria", DIGEST_USER_PASSWORD="another pass phrase")
    assert "no desk user" in desk("users", "password", "nobody", code=1, DIGEST_USER_PASSWORD="another pass phrase")
    desk("users", "add", "short", code=1, DIGEST_USER_PASSWORD="short")


def test_a_test_send_goes_to_the_editors_own_address(desk: Desk) -> None:
    desk("users", "add", "maria", "--address", "maria@desk.example", DIGEST_USER_PASSWORD="a long pass phrase")
    desk("gather")
    desk("draft")
    desk("test-send", "--to", "maria")
    desk("test-send", "--to", "maria", "--format", "text", "--neutral")
    running = desk.start("worker")
    try:
        assert desk.catcher.wait_for(2, seconds=30)  # type: ignore[attr-defined]
    finally:
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 0, said
    ordinary, text = desk.catcher.caught  # type: ignore[attr-defined]
    assert ordinary.recipient == text.recipient == "maria@desk.example"
    assert ordinary.message["Subject"].startswith("[Test] ")
    assert text.message["Subject"] == "[Test] Weekly digest"
    assert text.message.get_content_type() == "text/plain"
    assert "maria@" not in said


def test_up_serves_pages_and_ends_on_sigterm(desk: Desk) -> None:
    running = desk.start("up")
    try:
        base = desk.base  # type: ignore[attr-defined]
        assert running.stdout is not None
        assert any("pages are served" in line for line in running.stdout)
        with urllib.request.urlopen(f"{base}/readyz", timeout=5) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{base}/", timeout=5) as answer:
            assert re.search(r'name="email"', answer.read().decode())
    finally:
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 0, said
    assert "Traceback" not in said


def until_served(running: subprocess.Popen[str]) -> list[str]:
    """What a role says until its pages are served."""
    assert running.stdout is not None
    said = list[str]()
    for line in running.stdout:
        said.append(line)
        if "pages are served" in line:
            return said
    raise AssertionError(said)


def test_an_empty_desk_prints_the_link_of_its_first_account_and_never_logs_it(desk: Desk) -> None:
    running = desk.start("web")
    try:
        (printed,) = [line for line in until_served(running) if "/desk/first/" in line]
        token = printed.rpartition("/")[2].strip()
        assert printed.startswith("Nobody can log in yet.")
        with urllib.request.urlopen(f"{desk.base}/desk/first/{token}", timeout=5) as answer:  # type: ignore[attr-defined]
            assert "Nobody is at this desk yet" in answer.read().decode()
    finally:
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert "/desk/first/{token" in said
    assert token not in said


@pytest.mark.parametrize("role", ["up", "web"])
def test_a_port_in_use_starts_nothing(desk: Desk, role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = desk(role, code=1, DIGEST_WEB_PORT=str(port))
    assert said == f"port {port} on 127.0.0.1 is taken; set [web] port\n"
    assert not (desk.folder / "digest.db").exists()


def test_a_web_process_needs_no_private_key_and_a_worker_does(desk: Desk) -> None:
    path = desk.folder / "digest.keys"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("private")) + "\n")
    assert "without `private`" in desk("worker", code=1)
    running = desk.start("web")
    assert running.stdout is not None
    assert any("pages are served" in line for line in running.stdout)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert running.returncode == 0
