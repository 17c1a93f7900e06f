"""The configuration: every wrong key is named at once, with what would be right, and nothing else is believed."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from digest.cli.setup import CONFIG
from digest.configuration import BadSettings, load, parse
from digest.settings import Newsletter, Settings

GOOD: dict[str, Any] = {
    "title": "Watchdog",
    "sender": "Watchdog <digest@example.org>",
    "sources": [{"feed": "https://www.example.org/api/"}],
}


def settings(more: dict[str, Any] | None = None, environ: dict[str, str] | None = None, **newsletter: Any) -> Settings:
    data = {"newsletters": {"watchdog": {**GOOD, **newsletter}}, **(more or {})}
    return parse(data, environ or {}, Path("/etc/digest/digest.toml"))


def problems(more: dict[str, Any] | None = None, environ: dict[str, str] | None = None, **newsletter: Any) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        settings(more, environ, **newsletter)
    return caught.value.problems


def test_what_init_writes_is_good(tmp_path: Path) -> None:
    path = tmp_path / "digest.toml"
    path.write_text(CONFIG)
    found = load(path, {})
    assert found.keys == tmp_path / "digest.keys"
    assert found.database.url == f"sqlite:///{tmp_path / 'digest.db'}"
    assert found.newsletters["watchdog"].slug == "watchdog"


def test_every_wrong_key_is_named_at_once() -> None:
    found = problems(
        {"smtp": {"url": "http://x", "conections": 3}, "web": {"port": "many"}, "colour": "red"},
        {"DIGEST_FOO": "1"},
        timezone="Europe/Pragu",
        send="thursday at ten",
        sender="nobody",
        sources=[{"feed": "ftp://x"}, {"feed": "https://a.org", "page": "https://b.org"}],
        unapproved="perhaps",
        sned="thu 10:00",
    )
    text = "\n".join(found)
    for wanted in (
        "newsletters.watchdog.timezone: 'Europe/Pragu' is not a time zone; did you mean 'Europe/Prague'?",
        "newsletters.watchdog.send: ",
        "newsletters.watchdog.sender: ",
        "newsletters.watchdog.sources.0: ",
        "newsletters.watchdog.sources.1: a source has exactly one",
        "newsletters.watchdog.unapproved: ",
        "newsletters.watchdog.sned: is no key of ours; did you mean 'send'?",
        "smtp.url: ",
        "smtp.conections: is no key of ours; did you mean 'connections'?",
        "web.port: ",
        "colour: is no key of ours",
        "DIGEST_FOO: is no setting of ours",
    ):
        assert wanted in text
    assert len(found) == 12


def test_a_secret_is_not_repeated_in_an_error() -> None:
    text = "\n".join(problems({"smtp": {"url": "smtp+plain://user:hunter2@relay.example.org"}}))
    assert "hunter2" not in text
    assert "smtps://" in text


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="digest init"):
        load(tmp_path / "digest.toml", {})


@pytest.mark.parametrize("content", [b"newsletters = [", b"\xff\xfe"])
def test_a_broken_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "digest.toml"
    path.write_bytes(content)
    with pytest.raises(BadSettings, match=r"digest\.toml"):
        load(path, {})


def test_the_environment_wins_and_secrets_come_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "smtp"
    secret.write_text("smtps://user:p%40ss@relay.example.org\n")
    found = settings(
        {"web": {"port": 1}},
        {
            "DIGEST_WEB_PORT": "8080",
            "DIGEST_SMTP_URL_FILE": str(secret),
            "DIGEST_NEWSLETTERS_WATCHDOG_TITLE": "Another",
            "DIGEST_FETCH_ALLOW_PRIVATE": '["a.internal", "b.internal"]',
            "DIGEST_CONFIG": "/etc/digest/digest.toml",
        },
    )
    assert found.web.port == 8080
    assert (found.smtp.username, found.smtp.password, found.smtp.port) == ("user", "p@ss", 465)
    assert found.newsletters["watchdog"].title == "Another"
    assert found.fetch.allow_private == ("a.internal", "b.internal")
    assert "p@ss" not in repr(found)
    assert "p%40ss" not in repr(found)


def test_a_secret_file_that_is_not_there_is_named() -> None:
    assert "DIGEST_SMTP_URL_FILE" in "\n".join(problems(environ={"DIGEST_SMTP_URL_FILE": "/nowhere"}))


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"smtp": "x", "newsletters": {"w": GOOD}}, "smtp: has to be a table"),
        ({"newsletters": [1]}, "newsletters: has to be a table"),
        ({"newsletters": 5}, "newsletters: has to be a table"),
        ({"newsletters": "w"}, "newsletters: has to be a table"),
        ({"newsletters": {"w": 3}}, "newsletters.w: has to be a table"),
    ],
)
def test_what_should_be_a_table_and_is_not_is_named_with_the_rest(data: dict[str, Any], where: str) -> None:
    environ = {
        "DIGEST_SMTP_URL": "smtps://relay.example.org",
        "DIGEST_NEWSLETTERS_W_TITLE": "Another",
        "DIGEST_WEB_PORT": "many",
    }
    with pytest.raises(BadSettings) as caught:
        parse(data, environ, Path("/etc/digest/digest.toml"))
    text = "\n".join(caught.value.problems)
    assert where in text
    assert "web.port: " in text


def test_a_secret_file_that_cannot_be_text_is_named_with_the_rest(tmp_path: Path) -> None:
    octets = tmp_path / "secret"
    octets.write_bytes(b"smtps://\xff\xfe")
    found = problems(
        {"colour": "red"}, {"DIGEST_SMTP_URL_FILE": str(octets), "DIGEST_DATABASE_URL_FILE": "/run/\0/secret"}
    )
    assert found[:2] == [
        "DIGEST_DATABASE_URL_FILE: is not the name of a file",
        "DIGEST_SMTP_URL_FILE: the file is not text in UTF-8",
    ]
    assert "colour: is no key of ours" in found


@pytest.mark.parametrize(
    ("language", "direction"),
    [
        ("en", "ltr"),
        ("fa", "rtl"),
        ("ar-EG", "rtl"),
        ("az-Arab", "rtl"),
        ("ur-Latn", "ltr"),
        ("he", "rtl"),
        ("ru", "ltr"),
    ],
)
def test_the_language_tells_the_direction(language: str, direction: str) -> None:
    paper: Newsletter = settings(language=language).newsletters["watchdog"]
    assert paper.direction == direction


def test_plain_smtp_is_for_this_machine_alone() -> None:
    for good in ("smtp+plain://127.0.0.1:2525", "smtp+plain://localhost", "smtp+plain://mail:1025"):
        assert settings({"smtp": {"url": good}}).smtp.security == "smtp+plain"
    assert "in the clear" in problems({"smtp": {"url": "smtp+plain://relay.example.org"}})[0]


def test_sections_stand_in_the_order_of_their_sources() -> None:
    paper = settings(
        sources=[
            {"feed": "https://a.org/1", "section": "Two"},
            {"feed": "https://a.org/2"},
            {"feed": "https://a.org/3", "section": "Two"},
            {"page": "https://a.org/4", "section": "Three"},
        ]
    ).newsletters["watchdog"]
    assert paper.sections == ("", "Two", "Three")


def test_dates_to_skip_are_dates() -> None:
    assert settings(skip=["2026-12-24"]).newsletters["watchdog"].skip == {dt.date(2026, 12, 24)}
    assert "skip" in problems(skip=["christmas"])[0]


DKIM = {"selector": "w2026", "key": "/etc/digest/dkim.pem"}


@pytest.mark.parametrize(
    ("sender", "domain", "signed_in"),
    [
        ("digest@news.example.org", None, "news.example.org"),
        ("digest@news.example.org", "news.example.org", "news.example.org"),
        ("digest@news.example.org", "Example.ORG", "example.org"),
        ("digest@a.b.example.co.uk", "example.co.uk", "example.co.uk"),
        ("digest@news.paper.test", "paper.test", "paper.test"),
    ],
)
def test_mail_is_signed_in_the_sender_s_name_or_a_parent_s(sender: str, domain: str | None, signed_in: str) -> None:
    given = DKIM if domain is None else {**DKIM, "domain": domain}
    paper = settings(sender=sender, dkim=given).newsletters["watchdog"]
    assert paper.signing_domain == signed_in
    assert settings(sender=sender).newsletters["watchdog"].dkim is None


@pytest.mark.parametrize(
    ("dkim", "problem"),
    [
        ({**DKIM, "domain": "example.net"}, "is neither the sender's own, 'example.org', nor a parent of it"),
        ({**DKIM, "domain": "news.example.org"}, "is neither the sender's own"),
        ({**DKIM, "domain": "ample.org"}, "is neither the sender's own"),
        ({**DKIM, "domain": "org"}, "is not yours alone; sign in 'example.org'"),
        ({**DKIM, "domain": "example..org"}, "'example..org' is not a name in the DNS"),
        ({**DKIM, "selector": "w 2026;"}, "'w 2026;' is not a name in the DNS"),
        ({**DKIM, "selector": "x" * 64}, "is not a name in the DNS"),
        ({**DKIM, "selector": ".".join(["x"] * 120)}, "is not a name in the DNS"),
        ({"selector": "w"}, "dkim.key: is missing"),
        ({**DKIM, "key_file": "x"}, "dkim.key_file: is no key of ours"),
        ("w2026", "dkim: has to be a table"),
    ],
)
def test_a_wrong_signature_is_named(dkim: object, problem: str) -> None:
    (found,) = problems(dkim=dkim)
    assert found.startswith("newsletters.watchdog")
    assert problem in found


def test_a_signing_key_is_looked_for_beside_the_file() -> None:
    def key_of(name: str) -> Path:
        signed = settings(dkim={"selector": "w", "key": name}).newsletters["watchdog"].dkim
        assert signed
        return signed.key

    assert key_of("keys/dkim.pem") == Path("/etc/digest/keys/dkim.pem")
    assert key_of("/run/secrets/dkim.pem") == Path("/run/secrets/dkim.pem")


def test_a_misspelt_key_of_the_signature_is_guessed() -> None:
    (found,) = problems(dkim={**DKIM, "selektor": "x"})
    assert found == "newsletters.watchdog.dkim.selektor: is no key of ours; did you mean 'selector'?"


@pytest.mark.parametrize(
    ("domains", "problem"),
    [
        (["feedback@arf.mail.yahoo.com"], "'feedback@arf.mail.yahoo.com' is not a name in the DNS"),
        (["*.yahoo.com"], "'*.yahoo.com' is not a name in the DNS"),
        (["com"], "'com' is nobody's own; name what a feedback loop signs with: 'arf.mail.yahoo.com'"),
        (["co.uk"], "'co.uk' is nobody's own"),
        (["localhost"], "'localhost' is nobody's own"),
        ("arf.mail.yahoo.com", "inbound.feedback_domains"),
    ],
)
def test_a_wrong_feedback_domain_is_named(domains: object, problem: str) -> None:
    (found,) = problems({"inbound": {"feedback_domains": domains, "authserv_id": "mx.example.org"}})
    assert found.startswith("inbound.feedback_domains")
    assert problem in found


def test_complaints_are_believed_only_where_somebody_checks_them() -> None:
    (wrong,) = problems({"inbound": {"feedback_domains": ["arf.example.org"]}})
    assert "authserv_id" in wrong
    goods: list[dict[str, Any]] = [{}, {"feedback_domains": []}, {"authserv_id": "mx"}]
    found = [settings({"inbound": good}).inbound.feedback_domains for good in goods]
    assert found == [("arf.mail.yahoo.com",), (), ("arf.mail.yahoo.com",)]
    told = {"feedback_domains": ["ARF.Example.org"], "authserv_id": "mx"}
    assert settings({"inbound": told}).inbound.feedback_domains == ("arf.example.org",)
