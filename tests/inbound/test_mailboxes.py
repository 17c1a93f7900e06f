"""Only what somebody can have been told to write to is taken in."""

from __future__ import annotations

import pytest

from digest.inbound.mailboxes import Mailboxes
from digest.mail.verp import verp_token
from tests.house import newsletter
from tests.inbound.letters import BOUNCES

KEY = b"k" * 32
TOKEN = verp_token(KEY, bytes(range(16)))
OURS = Mailboxes(KEY, {"watchdog": newsletter()}, BOUNCES)


@pytest.mark.parametrize(
    "recipient",
    [
        f"b.{TOKEN}@{BOUNCES}",
        f"B.{TOKEN.upper()}@{BOUNCES.upper()}",
        f"leave@{BOUNCES}",
        f"unsubscribe@{BOUNCES}",
        f"Subscribe@{BOUNCES}",
        f"watchdog@{BOUNCES}",
        f"feedback@{BOUNCES}",
        f"postmaster@{BOUNCES}",
        "digest@example.org",
        "leave@example.org",
    ],
)
def test_there_is_a_mailbox(recipient: str) -> None:
    assert OURS.has(recipient)


@pytest.mark.parametrize(
    "recipient",
    [
        f"b.{'a' * 40}@{BOUNCES}",
        f"b.{TOKEN[:-1]}@{BOUNCES}",
        f"b.{verp_token(b'another' * 5, bytes(16))}@{BOUNCES}",
        f"nobody@{BOUNCES}",
        f"digest@{BOUNCES}",
        "leave@elsewhere.example",
        "reader@example.org",
        "leave",
        "@",
        "",
        "leave@",
        "None@None",
    ],
)
def test_there_is_none(recipient: str) -> None:
    assert not OURS.has(recipient)


def test_without_a_domain_only_the_senders_own_has_mailboxes() -> None:
    alone = Mailboxes(KEY, {"watchdog": newsletter()}, None)
    assert alone.has("digest@example.org")
    assert alone.has("subscribe@example.org")
    assert not alone.has(f"leave@{BOUNCES}")
    assert not alone.has("leave@none")
    assert "kkk" not in repr(alone)
