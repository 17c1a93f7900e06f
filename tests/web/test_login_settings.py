"""`[login]`: what may be set, and a sentence for each way to be wrong."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from digest.configuration import BadSettings, parse
from digest.settings import Settings
from digest.web.app import Parts
from tests.subscribers.house import Clock
from tests.web.house import Browser, make_client, with_login

OIDC = {"issuer": "https://id.example.org/realms/x", "client_id": "desk", "client_secret": "s"}
NEWSLETTER = {
    "title": "Watchdog",
    "sender": "Watchdog <digest@example.org>",
    "sources": [{"feed": "https://blog.example.org/feed/"}],
}


def read(login: dict[str, Any], **environ: str) -> Settings:
    data = {"newsletters": {"watchdog": NEWSLETTER}, "login": login}
    return parse(data, environ, Path("/nowhere/digest.toml"))


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ({"second_factor": ["owner"]}, "login.second_factor"),
        ({"idle": "31 min"}, "login.idle: it is at least 5 minutes and at most 30 minutes"),
        ({"idle": "1 min"}, "a forgotten screen must not stay open"),
        ({"session": "9 h"}, "login.session: it is at least 5 minutes and at most 8 hours"),
        ({"session": "long"}, "is not a length of time"),
        ({"passwords": False}, r"login: passwords = false leaves the first person no way in; set up \[login.oidc\]"),
        ({"pasword": True}, "login.pasword: is no key of ours; did you mean 'passwords'?"),
        ({"oidc": {**OIDC, "isuer": "x"}}, "login.oidc.isuer: is no key of ours; did you mean 'issuer'?"),
        ({"oidc": {"issuer": OIDC["issuer"]}}, "login.oidc.client_id: is missing"),
        ({"oidc": {**OIDC, "issuer": "http://id.example.org"}}, "is not an issuer; write it like"),
        ({"oidc": {**OIDC, "issuer": "https://id.example.org/?x=1"}}, "it has no query"),
        ({"oidc": {**OIDC, "scopes": ["email"]}}, "scopes has to have 'openid'"),
        ({"oidc": {**OIDC, "role_claim": "groups"}}, "role_claim and roles belong together"),
        ({"oidc": {**OIDC, "roles": {"a": "admin"}}}, "role_claim and roles belong together"),
        ({"oidc": {**OIDC, "roles": {"a": "owner"}, "role_claim": "groups"}}, "login.oidc.roles.a"),
        ({"oidc": {**OIDC, "unknown": "by-role"}}, "needs role_claim and roles"),
        ({"oidc": {**OIDC, "unknown": "welcome"}}, "login.oidc.unknown"),
    ],
)
def test_what_is_wrong_is_said(login: dict[str, Any], sentence: str):
    with pytest.raises(BadSettings, match=sentence):
        read(login)


def test_the_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2-hunter2\n")
    oidc = {name: value for name, value in OIDC.items() if name != "client_secret"}
    settings = read({"oidc": oidc}, DIGEST_LOGIN_OIDC_CLIENT_SECRET_FILE=str(secret))
    assert settings.login.oidc
    assert settings.login.oidc.client_secret == "hunter2-hunter2"
    assert "hunter2" not in repr(settings)


def test_everything_can_be_given_by_the_environment():
    settings = read({}, DIGEST_LOGIN_IDLE="10 min", DIGEST_LOGIN_SECOND_FACTOR='["admin"]')
    assert settings.login.idle == dt.timedelta(minutes=10)
    assert settings.login.second_factor == {"admin"}


def test_without_the_section_everything_is_as_it_was():
    login = read({}).login
    assert (login.idle, login.session) == (dt.timedelta(minutes=30), dt.timedelta(hours=8))
    assert login.passwords
    assert not login.second_factor


def test_sessions_last_as_long_as_they_say(parts: Parts, clock: Clock):
    with make_client(with_login(parts, idle="10 min", session="20 min")) as client:
        browser = Browser(client)
        browser.log_in()
        clock.turn(minutes=9)
        assert browser.get("/desk").status_code == 200
        clock.turn(minutes=9)
        assert browser.get("/desk").status_code == 200
        clock.turn(minutes=2)
        assert browser.get("/desk").status_code == 303
