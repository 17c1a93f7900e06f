"""The command line as an operator uses it: real processes, exit codes, one clear line."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from digest.demo.catcher import Catcher
from digest.sample import SampleBlog
from digest.wiring import utc_now


class Desk:
    """A folder with an installation, and the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}

    def __call__(self, *words: str, code: int = 0, **environ: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "digest", *words],
            cwd=self.folder,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

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
    assert json.loads(desk("show", name, "--json"))["items"]
    desk("check", name)
    desk("preview", name, "--to", "out")
    assert (desk.folder / "out" / f"{name.replace('/', '-')}.html").read_text().startswith("<!doctype html>")
    assert "only an approved issue" in desk("send", name, "--now", code=1)
    desk("approve", name)
    said = desk("send", name, "--now")
    assert "audience 1 = 1 accepted + 0 rejected + 0 excluded + 0 unknown" in said
    desk("send", name, "--now")
    status = json.loads(desk("status", name, "--json"))
    assert {key: status[key] for key in ("audience", "accepted", "queued", "state")} == {
        "audience": 1,
        "accepted": 1,
        "queued": 0,
        "state": "sent",
    }
    assert [caught.recipient for caught in desk.catcher.caught] == ["reader@readers.example"]  # type: ignore[attr-defined]


def test_schedule_prints_local_and_utc(desk: Desk) -> None:
    sends = json.loads(desk("schedule", "--json", "--count", "3"))["watchdog"]
    assert len(sends) == 3
    assert "UTC" in desk("schedule")


def test_doctor_finds_a_relay_that_is_not_there(desk: Desk) -> None:
    assert "hard subjects" in desk("doctor")
    assert "WRONG" in desk("doctor", code=1, DIGEST_SMTP_URL="smtp+plain://127.0.0.1:1")


def test_a_desk_user_gets_a_password_and_no_weak_one(desk: Desk) -> None:
    desk("users", "add", "maria", "--address", "maria@desk.example", DIGEST_USER_PASSWORD="a long pass phrase")
    assert "already" in desk("users", "add", "maria", code=1, DIGEST_USER_PASSWORD="a long pass phrase")
    desk("users", "password", "maria", DIGEST_USER_PASSWORD="another pass phrase")
    assert "no desk user" in desk("users", "password", "nobody", code=1, DIGEST_USER_PASSWORD="another pass phrase")
    desk("users", "add", "short", code=1, DIGEST_USER_PASSWORD="short")


def test_a_test_send_goes_to_the_editors_own_address(desk: Desk) -> None:
    desk("users", "add", "maria", "--address", "maria@desk.example", DIGEST_USER_PASSWORD="a long pass phrase")
    desk("gather")
    desk("draft")
    desk("test-send", "--to", "maria")
    running = desk.start("worker")
    try:
        assert desk.catcher.wait_for(1, seconds=30)  # type: ignore[attr-defined]
    finally:
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 0, said
    (caught,) = desk.catcher.caught  # type: ignore[attr-defined]
    assert caught.recipient == "maria@desk.example"
    assert caught.message["Subject"].startswith("[Test] ")
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
