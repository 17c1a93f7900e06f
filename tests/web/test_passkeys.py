"""Passkeys: the whole log-in, and what is refused (W-04). The device is a small authenticator in software."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from digest.models import DeskSession, LogEntry, LoginStep, Passkey, User
from digest.web.access.passkeys import site_of
from digest.web.app import Parts
from subscribers.db import Database
from subscribers.keys import Keys
from tests.subscribers.house import Clock
from tests.web.authenticator import PRESENT, Authenticator
from tests.web.house import PASSWORD, Browser, add_editor, dump, make_client, make_parts
from tests.web.test_account import elsewhere, send, sessions

HTTPS = "https://digest.example.org"


@pytest.fixture
def parts(sqlite_database: Database, keys: Keys, clock: Clock) -> Parts:
    """Over TLS, as browsers want it."""
    made = make_parts(sqlite_database, keys, clock, HTTPS)
    add_editor(made)
    return made


@pytest.fixture
def browser(parts: Parts) -> Iterator[Browser]:
    with make_client(parts, HTTPS) as client:
        yield Browser(client, HTTPS)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(HTTPS)


def make(browser: Browser, device: Authenticator, name: str = "My laptop", **said: object) -> httpx.Response:
    options = send(browser, "passkeys/options").json()
    return send(browser, "passkeys", answer=device.make(options, **said), name=name)


def options_of(browser: Browser) -> dict[str, Any]:
    return dict(browser.post("/desk/login/passkey/options", {"next": "/desk/account"}).json())


def enter(browser: Browser, answer: str) -> httpx.Response:
    return browser.post("/desk/login/passkey", {"answer": answer})


@pytest.fixture
def known(browser: Browser, device: Authenticator) -> Browser:
    """Anna has a passkey, and has logged out."""
    browser.log_in()
    assert make(browser, device).status_code == 200
    browser.client.cookies.clear()
    return browser


def test_a_passkey_is_made_named_and_shown(browser: Browser, device: Authenticator, parts: Parts):
    browser.log_in()
    elsewhere(parts)
    before = browser.client.cookies["__Host-digest"]
    options = send(browser, "passkeys/options").json()
    assert options["rp"] == {"name": "Watchdog", "id": "digest.example.org"}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    answer = send(browser, "passkeys", answer=device.make(options), name="My <b>laptop</b>")
    assert "Your recovery codes" in answer.text
    assert browser.client.cookies["__Host-digest"] != before
    assert sessions(parts) == 1
    assert "My &lt;b&gt;laptop&lt;/b&gt;" in browser.get("/desk/account").text
    # The device is told what it has, so that it does not make a second one.
    assert len(send(browser, "passkeys/options").json()["excludeCredentials"]) == 1


def test_it_is_the_whole_log_in(known: Browser, device: Authenticator, parts: Parts):
    options = options_of(known)
    assert options["allowCredentials"] == []
    assert options["userVerification"] == "required"
    assert enter(known, device.sign(options)).headers["location"] == "/desk/account"
    assert "This one" in known.get("/desk/account").text
    with parts.database.read() as session:
        assert session.scalars(sa.select(DeskSession.is_strong).order_by(DeskSession.created_at)).all()[-1]
        assert session.scalars(sa.select(LogEntry.detail).order_by(LogEntry.id.desc())).first() == "by passkey"


def test_the_password_alone_does_not_open_an_account_with_a_passkey(known: Browser, device: Authenticator):
    assert known.log_in().headers["location"] == "/desk/login/second"
    assert "Log in with a passkey" in known.get("/desk/login/second").text
    assert known.get("/desk").status_code == 303
    assert enter(known, device.sign(options_of(known))).status_code == 303
    assert known.get("/desk").status_code == 200


def test_a_challenge_is_good_once_for_one_browser_and_for_five_minutes(
    known: Browser, device: Authenticator, parts: Parts, clock: Clock
):
    answer = device.sign(options_of(known))
    step = known.client.cookies["__Host-digest-passkey"]
    with make_client(parts, HTTPS) as client:
        assert enter(Browser(client, HTTPS), answer).status_code == 403
    assert enter(known, answer).status_code == 303
    known.client.cookies.clear()
    known.client.cookies.set("__Host-digest-passkey", step)
    assert enter(known, answer).status_code == 403
    late = device.sign(options_of(known))
    clock.turn(minutes=5)
    assert enter(known, late).status_code == 403
    assert known.get("/desk").status_code == 303


def test_a_wrong_answer_uses_the_challenge_up(known: Browser, device: Authenticator, parts: Parts):
    options = options_of(known)
    assert enter(known, "{}").status_code == 403
    assert enter(known, device.sign(options)).status_code == 403
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(LoginStep)) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flags": PRESENT}, {}),  # T-trap of the library: user verification is not asked for by default.
        ({"flags": 0}, {}),
        ({"origin": "https://evil.example"}, {}),
        ({"origin": "https://digest.example.org.evil.example"}, {}),
        ({"origin": "http://digest.example.org"}, {}),
        ({"origin": "https://digest.example.org:8443"}, {}),
        ({"rp_id": "evil.example"}, {}),
        ({"rp_id": "example.org"}, {}),
        ({"handle": b"somebody else"}, {}),
        ({"credential_id": b"unknown"}, {}),
        ({}, {"type": "webauthn.create"}),
        ({}, {"challenge": "AAAA"}),
        ({"key": Authenticator(HTTPS).key}, {}),
    ],
)
def test_what_is_not_theirs_opens_nothing(
    known: Browser, device: Authenticator, parts: Parts, change: dict[str, Any], said: dict[str, object]
):
    for name, value in change.items():
        setattr(device, name, value)
    answer = enter(known, device.sign(options_of(known), **said))
    assert answer.status_code == 403
    assert "This passkey does not open the desk" in answer.text
    assert known.get("/desk").status_code == 303


@pytest.mark.parametrize("answer", ["", "null", "[]", "{}", '{"id": 1}', "x" * 10_000, '{"id":"AA","rawId":"AA"}'])
def test_nonsense_is_refused_like_a_wrong_passkey(known: Browser, answer: str):
    options_of(known)
    assert enter(known, answer).status_code == 403


def test_a_copied_passkey_is_noticed_by_its_count(known: Browser, device: Authenticator, parts: Parts):
    device.count = 7
    assert enter(known, device.sign(options_of(known))).status_code == 303
    for count, status in ((7, 403), (6, 403), (0, 403), (8, 303)):
        known.client.cookies.clear()
        device.count = count
        assert enter(known, device.sign(options_of(known))).status_code == status, count
    with parts.database.read() as session:
        assert session.scalars(sa.select(Passkey.sign_count)).one() == 8


@pytest.mark.parametrize(("change", "said"), [({"flags": PRESENT}, {}), ({"origin": "https://evil.example"}, {})])
def test_a_passkey_that_is_made_wrongly_is_not_kept(browser: Browser, device: Authenticator, parts, change, said):
    browser.log_in()
    for name, value in change.items():
        setattr(device, name, value)
    assert make(browser, device, **said).status_code == 422
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Passkey)) == 0


def test_a_passkey_is_made_only_with_a_challenge_of_the_same_session(browser: Browser, device: Authenticator, parts):
    browser.log_in()
    options = send(browser, "passkeys/options").json()
    browser.log_in()
    assert send(browser, "passkeys", answer=device.make(options), name="x").status_code == 422


def test_one_passkey_is_one_person_s(known: Browser, device: Authenticator, parts: Parts):
    add_editor(parts, "boris", address=None)
    known.log_in("boris")
    device.handle = b""
    answer = make(known, device)
    assert (answer.status_code, "known already" in answer.text) == (422, True)


def test_it_is_removed_by_its_owner_alone(known: Browser, device: Authenticator, parts: Parts):
    add_editor(parts, "boris", address=None)
    known.log_in("boris")
    assert send(known, "passkeys/1/remove").status_code == 404
    known.client.cookies.clear()
    enter(known, device.sign(options_of(known)))
    assert send(known, "passkeys/1/remove").headers["location"] == "/desk/account?done=passkey-removed"
    known.client.cookies.clear()
    assert enter(known, device.sign(options_of(known))).status_code == 403
    assert known.log_in().headers["location"] == "/desk"


def test_who_may_not_come_in_does_not_by_a_passkey_either(known: Browser, device: Authenticator, parts: Parts, clock):
    with parts.database.write() as session:
        session.execute(sa.update(User).values(disabled_at=clock()))
    assert enter(known, device.sign(options_of(known))).status_code == 403
    assert known.log_in(password=PASSWORD).status_code == 403


def test_asking_for_a_challenge_tells_nothing_about_anybody(known: Browser):
    """Nobody is named before the answer: there is nothing to enumerate."""
    first, second = options_of(known), options_of(known)
    assert {**first, "challenge": ""} == {**second, "challenge": ""}
    assert first["challenge"] != second["challenge"]


def test_a_challenge_is_not_made_for_a_page_that_is_not_ours(browser: Browser, parts: Parts):
    before = dump(parts.database)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert browser.post("/desk/login/passkey/options", {"next": ""}, **headers).status_code == 403
    assert dump(parts.database) == before


@pytest.mark.parametrize(
    ("base_url", "rp_id"),
    [
        ("https://digest.example.org", "digest.example.org"),
        ("https://Digest.example.org:8443/news", "digest.example.org"),
        ("http://localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", None),
        ("https://192.0.2.1", None),
        ("http://digest.example.org", None),
    ],
)
def test_passkeys_are_for_sites_that_browsers_make_them_for(base_url: str, rp_id: str | None):
    site = site_of(base_url, "Watchdog")
    assert (site.rp_id if site else None) == rp_id
    if site and "8443" in base_url:
        assert site.origin == "https://digest.example.org:8443"


def test_without_such_a_site_the_page_says_so(sqlite_database: Database, keys: Keys, clock: Clock):
    parts = make_parts(sqlite_database, keys, clock)
    add_editor(parts)
    with make_client(parts) as client:
        browser = Browser(client)
        assert "passkey" not in browser.get("/desk/login").text
        browser.log_in()
        assert "once the desk is reached by https" in browser.get("/desk/account").text
        assert send(browser, "passkeys/options").status_code == 403
