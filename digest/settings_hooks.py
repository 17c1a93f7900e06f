"""The `[hooks]` part of the settings: where mail providers tell of bounces and complaints, and how they prove it."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from digest.weeks import parse_duration

PROVIDERS = ("ses", "mailgun", "postmark", "sendgrid")
MEMORY = dt.timedelta(hours=24)
"""Nothing older is taken, and what was taken is remembered for longer (N-33): so nothing is taken twice."""


def _path(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9_-]{22,200}", value):
        raise ValueError("it has to be 22 to 200 letters, digits, - and _: take what `openssl rand -hex 20` says")
    return value


def _topic(value: str) -> str:
    if not re.fullmatch(r"arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}", value):
        raise ValueError(f"{value!r} is no topic; write it like 'arn:aws:sns:eu-west-1:123456789012:bounces'")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(f"{value!r} is no address or network; write it like '192.0.2.0/28'") from None
    return value


def verification_key(text: str) -> ec.EllipticCurvePublicKey:
    """SendGrid's key as its page shows it: base64 of a P-256 public key (N-35). Raises `ValueError`."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("it is not the verification key that SendGrid shows beside Signed Event Webhook")


def _verification_key(value: str) -> str:
    if value:
        verification_key(value)
    return value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


_Path = Annotated[str, AfterValidator(_path)]


class Hooks(BaseModel):
    """What each provider proves itself with (N-30). One that lacks a part of it finds no door at all.

    `…_path` is the secret end of a provider's address here, `/hooks/<provider>/<path>`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ses_path: _Path = Field(default="", repr=False)
    ses_topics: tuple[Annotated[str, AfterValidator(_topic)], ...] = ()
    """The SNS topics that may speak (N-32)."""
    ses_sha1: bool = False
    """Whether a topic's older signatures (`SignatureVersion` 1) are taken, too."""
    mailgun_path: _Path = Field(default="", repr=False)
    mailgun_key: str = Field(default="", repr=False)
    """The HTTP webhook signing key of the account; not its API key (N-33)."""
    postmark_path: _Path = Field(default="", repr=False)
    postmark_user: str = Field(default="", repr=False)
    postmark_password: str = Field(default="", repr=False)
    postmark_networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Where Postmark may come from; anywhere, if none is named (N-34)."""
    sendgrid_path: _Path = Field(default="", repr=False)
    sendgrid_key: Annotated[str, AfterValidator(_verification_key)] = Field(default="", repr=False)
    """The public key that SendGrid shows beside Signed Event Webhook (N-35)."""
    fresh: Annotated[dt.timedelta, BeforeValidator(_duration)] = Field(
        default=dt.timedelta(minutes=15), gt=dt.timedelta(0), le=MEMORY
    )
    """How old a signed time of Mailgun or SendGrid may be."""

    def path_of(self, provider: str) -> str:
        """The secret path of a provider that is set up whole; empty for every other."""
        needed = self._needed(provider)
        return str(needed["path"]) if needed and all(needed.values()) else ""

    def half_way(self) -> list[str]:
        """A sentence for each provider that has some of its keys and not all: it finds no door."""
        said = []
        for provider in PROVIDERS:
            needed = self._needed(provider)
            missing = [f"{provider}_{name}" for name, value in needed.items() if not value]
            if missing and len(missing) < len(needed):
                said.append(f"{provider} is shut out until [hooks] {', '.join(missing)} is set")
        return said

    def _needed(self, provider: str) -> dict[str, object]:
        match provider:
            case "ses":
                return {"path": self.ses_path, "topics": self.ses_topics}
            case "mailgun":
                return {"path": self.mailgun_path, "key": self.mailgun_key}
            case "postmark":
                return {"path": self.postmark_path, "user": self.postmark_user, "password": self.postmark_password}
            case "sendgrid":
                return {"path": self.sendgrid_path, "key": self.sendgrid_key}
            case _:
                return {}
