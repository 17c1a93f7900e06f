"""How people get into the desk, as `[login]` and `[login.oidc]` set it (W-02 to W-05)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from digest.weeks import parse_duration

RoleName = Literal["viewer", "editor", "publisher", "admin"]
LONGEST_IDLE = dt.timedelta(minutes=30)
LONGEST_SESSION = dt.timedelta(hours=8)
SHORTEST = dt.timedelta(minutes=5)


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _no_longer(most: dt.timedelta, words: str) -> AfterValidator:
    def check(value: dt.timedelta) -> dt.timedelta:
        if not SHORTEST <= value <= most:
            raise ValueError(f"it is at least 5 minutes and at most {words}: a forgotten screen must not stay open")
        return value

    return AfterValidator(check)


class _Part(BaseModel):
    """Frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Oidc(_Part):
    """The newsroom's own identity provider (OpenID Connect), as `[login.oidc]` says."""

    issuer: str
    """The address by which it calls itself; it has to be the same to the letter in all that it says."""
    client_id: str = Field(min_length=1, max_length=255)
    client_secret: str = Field(min_length=1, repr=False)
    name: str = Field(default="the newsroom’s account", min_length=1, max_length=60)
    """What the button calls it: `Log in with …`."""
    scopes: tuple[str, ...] = ("openid",)
    role_claim: str | None = None
    """The claim of the ID token that `roles` looks in: a text, or a list of texts."""
    roles: dict[str, RoleName] = {}
    """Which value of that claim means which role; of several the highest counts."""
    unknown: Literal["refuse", "by-role"] = "refuse"
    """What happens to whoever the provider knows and the desk does not: they need an invitation, or get the role that
    their claim means."""

    @field_validator("issuer")
    @classmethod
    def _is_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        is_local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if (parts.scheme != "https" and not (is_local and parts.scheme == "http")) or not parts.hostname:
            raise ValueError(f"{value!r} is not an issuer; write it like 'https://id.example.org/realms/newsroom'")
        if parts.query or parts.fragment or parts.username or not re.fullmatch(r"[!-~]{1,255}", value):
            raise ValueError(f"{value!r} is not an issuer: it has no query, no user, and plain letters only")
        return value

    @field_validator("scopes")
    @classmethod
    def _with_openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("scopes has to have 'openid': without it a provider says nothing about who comes")
        return value

    @model_validator(mode="after")
    def _roles_have_a_claim(self) -> Oidc:
        if bool(self.roles) != (self.role_claim is not None):
            raise ValueError("role_claim and roles belong together: which claim, and what its values mean")
        if self.unknown == "by-role" and not self.roles:
            raise ValueError("unknown = 'by-role' needs role_claim and roles, or nobody would get in by it")
        return self


class Login(_Part):
    """How people get into the desk."""

    second_factor: frozenset[RoleName] = frozenset()
    """Roles that come in with a password only together with a second factor."""
    idle: Annotated[dt.timedelta, BeforeValidator(_duration), _no_longer(LONGEST_IDLE, "30 minutes")] = LONGEST_IDLE
    """How long a session may rest."""
    session: Annotated[dt.timedelta, BeforeValidator(_duration), _no_longer(LONGEST_SESSION, "8 hours")] = (
        LONGEST_SESSION
    )
    """How long it lasts altogether."""
    passwords: bool = True
    """Whether passwords open the desk; without them there has to be a provider."""
    oidc: Oidc | None = None

    @model_validator(mode="after")
    def _some_way_in(self) -> Login:
        if not self.passwords and self.oidc is None:
            raise ValueError("passwords = false leaves the first person no way in; set up [login.oidc] with it")
        return self
