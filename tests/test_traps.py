"""The ten traps of the documented way (section 0 of the requirements), each shown to be avoided.

T1, T3, T4: mail/test_wire.py · T5, T6: mail/test_render.py · T9: mail/test_smtp.py and mail/test_send.py · the others:
here. Where a trap is a library's default, the test also shows that the default is still wrong: when it no longer is,
the care may go.
"""

import datetime as dt
import inspect
from pathlib import Path

import aiosmtplib.email
import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jinja2 import Environment, select_autoescape

from digest.issues import plan
from digest.mail import headers, selftest, smtp
from digest.mail.compose import NOBODY, issue_mailing
from digest.mail.headers import MUST_BE_SIGNED
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered
from digest.schedule import make_scheduler
from digest.wiring import House as Built
from subscribers.pages import Pages
from subscribers.tokens import Links
from tests.house import NOW, newsletter
from tests.newsroom import newsroom


def test_t2_no_library_serialises_our_messages_again() -> None:
    assert "policy" in inspect.getsource(aiosmtplib.email.flatten_message)
    source = inspect.getsource(smtp)
    assert "send_message" not in source
    assert "sendmail" not in source


def test_t7_every_template_of_a_page_is_escaped_whatever_its_ending(tmp_path: Path) -> None:
    for name in ("page.html", "page.mjml", "page.html.j2", "page"):
        (tmp_path / name).write_text("{{ title }}")
        assert Pages([tmp_path]).render(name, title="<b>&\"'") == "&lt;b&gt;&amp;&#34;&#39;"
    assert Environment(autoescape=select_autoescape()).autoescape("digest.mjml") is False  # type: ignore[operator]


@pytest.fixture(scope="module")
def private_key() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def test_t8_what_must_be_signed_is_there_to_be_signed(private_key: bytes) -> None:
    rendered = Rendered("S", f"{UNSUBSCRIBE_SLOT}\n{MANAGE_SLOT}", f"<a>{UNSUBSCRIBE_SLOT}</a><a>{MANAGE_SLOT}</a>")
    links = Links("https://digest.example.org", b"k" * 32)
    mailing = issue_mailing(newsletter(), rendered, links, week="2026-W47", made_at=NOW, by_hand=True)
    raw = b"".join(mailing.copy("reader@example.org", NOBODY, NOBODY))
    wanted = [name.lower().encode() for name in MUST_BE_SIGNED]
    signed = dkim.sign(raw, b"s", b"example.org", private_key, include_headers=wanted)
    assert all(name in signed.lower() for name in wanted)
    naive = dkim.sign(raw, b"s", b"example.org", private_key).replace(b"\r\n ", b"").lower()
    assert b"list-unsubscribe-post" not in naive


def test_t10_no_tick_is_forgotten_for_being_late(tmp_path: Path, sqlite_url: str) -> None:
    with newsroom(tmp_path, sqlite_url, NOW) as room:
        scheduler = make_scheduler(room.house)
        scheduler.start(paused=True)
        jobs = scheduler.get_jobs()
        scheduler.shutdown(wait=False)
    assert len(jobs) == 7
    assert all(job.misfire_grace_time is None and job.coalesce and job.max_instances == 1 for job in jobs)


def test_t10_two_schedulers_do_what_one_does(tmp_path: Path, database_url: str) -> None:
    after_cutoff = dt.datetime(2026, 11, 19, 5, 30, tzinfo=dt.UTC)
    with newsroom(tmp_path, database_url, after_cutoff) as room:
        house: Built = room.house
        paper = house.newsletter("watchdog")
        first = [act.intent for act in plan.tick(house.hands(), paper, room.clock())]
        second = [act.said for act in plan.tick(house.hands(), paper, room.clock())]
    assert any(isinstance(intent, plan.Draft) for intent in first)
    assert not any(second)


def test_t_all_the_self_test_finds_a_process_that_cannot_write_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest.problems() == ()
    # The fault that it is there for: a header writer that trusts a title.
    monkeypatch.setattr(headers, "unstructured", lambda _name, text: text.encode("utf-8"))
    assert any("Bcc" in problem for problem in selftest.problems())
