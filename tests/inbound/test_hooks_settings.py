"""What proves a provider is set in the file, the environment or a file of its own; half a set-up is named."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from digest.configuration import BadSettings, parse
from digest.settings import Settings
from digest.settings_hooks import Hooks
from tests.inbound.providers import PATHS, TOPIC

NEWSLETTER = {
    "title": "Watchdog",
    "sender": "Watchdog <digest@example.org>",
    "sources": [{"feed": "https://www.example.org/api/"}],
}


def settings(hooks: dict[str, Any], environ: dict[str, str] | None = None) -> Settings:
    data = {"newsletters": {"watchdog": dict(NEWSLETTER)}, "hooks": hooks}
    return parse(data, environ or {}, Path("/etc/digest/digest.toml"))


def problems(hooks: dict[str, Any]) -> str:
    with pytest.raises(BadSettings) as caught:
        settings(hooks)
    return "\n".join(caught.value.problems)


def public(key: Any) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def test_nothing_is_set_up_unless_somebody_does() -> None:
    hooks = settings({}).hooks
    assert [hooks.path_of(name) for name in (*PATHS, "sparkpost", "")] == [""] * 6
    assert hooks.half_way() == []
    assert hooks.fresh == dt.timedelta(minutes=15)


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "mailgun"
    secret.write_text("key-from-a-file\n")
    environ = {
        "DIGEST_HOOKS_MAILGUN_KEY_FILE": str(secret),
        "DIGEST_HOOKS_MAILGUN_PATH": PATHS["mailgun"],
        "DIGEST_HOOKS_SES_TOPICS": f'["{TOPIC}"]',
        "DIGEST_HOOKS_POSTMARK_PASSWORD": "[not JSON",
    }
    hooks = settings({"ses_path": PATHS["ses"], "fresh": "30m"}, environ).hooks
    assert hooks.mailgun_key == "key-from-a-file"
    assert hooks.path_of("mailgun") == PATHS["mailgun"]
    assert hooks.path_of("ses") == PATHS["ses"]
    assert hooks.postmark_password == "[not JSON"
    assert hooks.fresh == dt.timedelta(minutes=30)
    for one in ("key-from-a-file", "[not JSON", *PATHS.values()):
        assert one not in repr(hooks) + str(hooks)


def test_half_a_set_up_is_named_with_what_is_missing() -> None:
    hooks = Hooks(ses_path=PATHS["ses"], postmark_user="postmark", mailgun_key="key", mailgun_path=PATHS["mailgun"])
    assert hooks.half_way() == [
        "ses is shut out until [hooks] ses_topics is set",
        "postmark is shut out until [hooks] postmark_path, postmark_password is set",
    ]


@pytest.mark.parametrize(
    ("hooks", "where", "said"),
    [
        ({"mailgun_path": "short-secret"}, "hooks.mailgun_path", "22 to 200"),
        ({"postmark_path": "x" * 30 + "/../"}, "hooks.postmark_path", "22 to 200"),
        ({"ses_topics": ["arn:aws:sqs:eu-west-1:123456789012:x"]}, "hooks.ses_topics.0", "is no topic"),
        ({"ses_topics": [TOPIC + "\n"]}, "hooks.ses_topics.0", "is no topic"),
        ({"postmark_networks": ["192.0.2.1/24"]}, "hooks.postmark_networks.0", "no address or network"),
        ({"sendgrid_key": "a secret that is none"}, "hooks.sendgrid_key", "verification key"),
        ({"sendgrid_key": public(ec.generate_private_key(ec.SECP384R1()))}, "hooks.sendgrid_key", "verification key"),
        ({"sendgrid_key": public(rsa.generate_private_key(65537, 2048))}, "hooks.sendgrid_key", "verification key"),
        ({"fresh": "25h"}, "hooks.fresh", "day"),
        ({"fresh": "0m"}, "hooks.fresh", ""),
        ({"mailgun_kye": "x"}, "hooks.mailgun_kye", "did you mean 'mailgun_key'?"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_repeated(hooks: dict[str, Any], where: str, said: str) -> None:
    found = problems(hooks)
    assert f"{where}: " in found
    assert said in found
    assert "secret" not in found
