"""What a process serves: where it listens, and what it does when it cannot."""

import asyncio
import socket
import threading
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa

from digest.demo.catcher import Catcher
from digest.demo.story import run_demo
from digest.pages import make_server
from digest.run import CannotListen, Roles, listen, serve
from digest.sample import SampleBlog
from digest.wiring import build
from subscribers.keys import write_keys
from subscribers.models import Subscriber
from tests.house import keys
from tests.newsroom import settings


def test_port_0_is_any_that_is_free() -> None:
    with listen("127.0.0.1", 0) as door:
        assert door.getsockname()[1] > 0


def test_a_name_is_listened_on_by_its_ipv4_address() -> None:
    with listen("localhost", 0) as door:
        assert door.family is socket.AF_INET


def test_an_answers_body_does_not_wait_for_the_receipt_of_its_headers() -> None:
    with listen("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()):
        ours, _ = door.accept()
        with ours:
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use_is_refused_in_one_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"port {port} on 127\.0\.0\.1 is taken; set \[web\] port"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_refused_with_what_to_set() -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:8000 .*set \[web\] host"):
        listen("192.0.2.1", 8000)


def test_pages_are_served_through_the_door_that_was_opened(tmp_path: Path, now) -> None:
    write_keys(tmp_path / "digest.keys", keys())
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    with Catcher() as catcher, SampleBlog(now=now) as blog, listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        house = build(settings(tmp_path, f"sqlite:///{tmp_path / 'digest.db'}", blog, catcher.smtp_port, port))
        work = serve(house, Roles(web=True), door=door, stopping=stopping)
        thread = threading.Thread(target=loop.run_until_complete, args=(work,))
        thread.start()
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{port}/healthz", timeout=20
            ) as answer:
                assert answer.status == 200
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(20)
            loop.close()
            house.database.close()
    assert not thread.is_alive()


def test_where_the_port_is_taken_no_role_starts(tmp_path: Path, now) -> None:
    write_keys(tmp_path / "digest.keys", keys())
    with Catcher() as catcher, SampleBlog(now=now) as blog, listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        house = build(settings(tmp_path, f"sqlite:///{tmp_path / 'digest.db'}", blog, catcher.smtp_port, port))
        with pytest.raises(CannotListen):
            asyncio.run(serve(house, Roles(web=True, scheduler=True, worker=True)))
        assert make_server(house, port=0).config.port == 0
        house.database.close()
    assert not [thread for thread in threading.enumerate() if "APScheduler" in thread.name]


def test_the_demonstration_refuses_a_port_that_was_asked_for_and_is_taken() -> None:
    said: list[str] = []
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} .*ask for another"):
            run_demo(once=True, port=port, say=said.append)
    assert said == []


def test_the_demonstration_takes_another_port_where_nobody_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("digest.demo.story.USUAL_PORT", port)
        assert run_demo(once=True, port=None, say=said.append)
    assert said[0].startswith(f"Port {port} is taken; the pages are on port ")


def test_a_sender_first_makes_the_hash_that_old_rows_lack(tmp_path: Path, now) -> None:
    """Whoever must never be mailed is asked for by it, so it has to be there before anybody is."""
    write_keys(tmp_path / "digest.keys", keys())
    with SampleBlog(now=now) as blog:
        house = build(settings(tmp_path, f"sqlite:///{tmp_path / 'digest.db'}", blog, 25, 8000))
    house.service.enter("watchdog", "mina@example.org", "Signed a list.", now)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).values(suppression_hash=None))
    house.worker()
    with house.database.read() as session:
        assert session.scalars(sa.select(Subscriber.suppression_hash)).all() == [
            house.vault.suppression_hash("mina@example.org")
        ]
    house.database.close()
