"""The newsroom's own identity provider: OpenID Connect, the code flow with PKCE, state and nonce (W-05).

What it says is asked for by the guarded client of `digest.gather.fetch`, quickly, in small answers, and never where a
redirect leads. What is signed is checked by joserfc with an explicit list of algorithms, and by authlib's claims. Every
failure is a value whose reason is for the operator's log; people are told no more than that it did not work.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import secrets
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from digest.gather.answers import Answer, Failed, Fetched
from digest.gather.fetch import Fetcher
from digest.settings import Fetch
from digest.settings_login import Oidc
from digest.web.accounts import Role

ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
"""What an ID token may be signed with; `none` and what a shared secret signs are not among them."""
KEPT = dt.timedelta(hours=1)
"""How long the provider's addresses and keys are kept."""
ASKED_AGAIN = dt.timedelta(minutes=1)
"""So seldom are its keys asked for once more because a token names one that is not known."""
LEEWAY = 60
"""Seconds that its clock may be wrong by."""
LONGEST_TOKEN = 16 * 1024
SMALLEST_RSA = 2048
_SMALL = 64 * 1024
_SECONDS = 5.0


@dataclass(frozen=True)
class Places:
    """Where the provider wants to be asked what, as its discovery document says."""

    authorization: str
    token: str
    keys: str
    by_post: bool
    """Whether it takes our secret only among a form's fields."""
    says_issuer: bool
    """Whether its answer in the browser always names it (RFC 9207)."""


@dataclass(frozen=True)
class Journey:
    """What has to come back as it was sent, kept on our side for one browser."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    invitation: str = field(default="", repr=False)

    def packed(self) -> bytes:
        """As the row keeps it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpacked(cls, data: bytes) -> Journey:
        """As it was."""
        return cls(**json.loads(data))


@dataclass(frozen=True)
class Known:
    """Somebody whom the provider answers for."""

    issuer: str
    subject: str
    role: Role | None
    """What their claim means here; none if it means nothing."""
    called: str
    """What the provider calls them, for a name here; never used to find anybody."""

    def __repr__(self) -> str:
        return f"Known({self.role})"


class Provider:
    """The provider that `[login.oidc]` names; safe to use from several threads."""

    def __init__(self, oidc: Oidc, fetch: Fetch, redirect_uri: str, clock: Callable[[], dt.datetime]) -> None:
        self._oidc, self._redirect_uri, self._clock = oidc, redirect_uri, clock
        host = urlsplit(oidc.issuer)
        own = f"{host.hostname}:{host.port}" if host.port else str(host.hostname)
        # The operator named the issuer; whatever else it leads to has to be public, or named in [fetch] as well.
        allowed = (*fetch.allow_private, own)
        update = {"max_bytes": _SMALL, "timeout": _SECONDS, "delay": 0.0, "allow_private": allowed}
        self._fetch = fetch.model_copy(update=update)
        self._lock = threading.Lock()
        self._places: tuple[Places, dt.datetime] | None = None
        self._keys: tuple[KeySet, dt.datetime] | None = None

    def begin(self, invitation: str = "") -> tuple[str, Journey] | Failed:
        """Where the browser is to go, and what has to come back."""
        places = self._where()
        if isinstance(places, Failed):
            return places
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        journey = Journey(state, nonce, verifier, invitation)
        url = prepare_grant_uri(
            places.authorization,
            self._oidc.client_id,
            "code",
            self._redirect_uri,
            " ".join(self._oidc.scopes),
            journey.state,
            nonce=journey.nonce,
            code_challenge=create_s256_code_challenge(journey.verifier),
            code_challenge_method="S256",
        )
        return str(url), journey

    def finish(self, journey: Journey, said: Mapping[str, str]) -> Known | Failed:
        """Who it is, by what came back with the browser (`state`, `code`, `iss`, `error`)."""
        places = self._where()
        if isinstance(places, Failed):
            return places
        if not hmac.compare_digest(said.get("state", "").encode(), journey.state.encode()):
            return Failed("What came back does not belong to what was sent (state).")
        issuer = said.get("iss", "")
        if (issuer or places.says_issuer) and issuer != self._oidc.issuer:
            return Failed("The answer is another provider's (iss, RFC 9207).")
        if said.get("error"):
            return Failed("The provider said no.")
        if not said.get("code"):
            return Failed("The provider gave no code.")
        token = self._exchange(places, said["code"], journey)
        return token if isinstance(token, Failed) else self._read(places, token, journey)

    def _exchange(self, places: Places, code: str, journey: Journey) -> dict[str, Any] | Failed:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": journey.verifier,
        }
        authorization = None
        if places.by_post:
            fields |= {"client_id": self._oidc.client_id, "client_secret": self._oidc.client_secret}
        else:
            # RFC 6749 §2.3.1: both are form-encoded before they become a header.
            pair = f"{quote(self._oidc.client_id, safe='')}:{quote(self._oidc.client_secret, safe='')}"
            authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
        with Fetcher(self._fetch) as fetcher:
            return _json(fetcher.post_form(places.token, fields, authorization), "token")

    def _read(self, places: Places, answer: dict[str, Any], journey: Journey) -> Known | Failed:
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN:
            return Failed("The provider gave no ID token, or one that is too large.")
        signed = self._verified(places, token)
        if isinstance(signed, Failed):
            return signed
        claims = CodeIDToken(
            signed.claims,
            signed.header,
            options={
                "iss": {"essential": True, "value": self._oidc.issuer},
                "sub": {"essential": True},
                "nonce": {"essential": True, "value": journey.nonce},
            },
            params={"nonce": journey.nonce, "client_id": self._oidc.client_id, "access_token": access},
        )
        try:
            claims.validate(int(self._clock().timestamp()), LEEWAY)
        except (JoseError, TypeError, ValueError) as error:
            return Failed(f"The ID token is not for us, or not for now ({type(error).__name__}: {_claim(error)}).")
        return self._known(claims)

    def _known(self, claims: CodeIDToken) -> Known | Failed:
        subject, audience = claims["sub"], claims["aud"]
        # Exactly us: a token that others may use as well could come from one of them.
        if audience not in (self._oidc.client_id, [self._oidc.client_id]):
            return Failed("The ID token is for somebody else (aud).")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:  # noqa: PLR2004 -- OpenID Connect Core §2.
            return Failed("The ID token does not say who it is about (sub).")
        called = claims.get("preferred_username")
        return Known(self._oidc.issuer, subject, self._role(claims), called if isinstance(called, str) else "")

    def _role(self, claims: CodeIDToken) -> Role | None:
        value = claims.get(self._oidc.role_claim) if self._oidc.role_claim else None
        values = value if isinstance(value, list) else [value]
        meant = {Role(self._oidc.roles[one]) for one in values if isinstance(one, str) and one in self._oidc.roles}
        return max(meant, key=list(Role).index, default=None)

    def _verified(self, places: Places, token: str) -> jwt.Token | Failed:
        why: Exception | None = None
        for again in (False, True):
            keys = self._key_set(places, again=again)
            if isinstance(keys, Failed):
                return keys
            try:
                with warnings.catch_warnings():
                    # EdDSA is the older name of what RFC 9864 calls Ed25519; providers still use it.
                    warnings.simplefilter("ignore", SecurityWarning)
                    return jwt.decode(token, keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
                why = error
        return Failed(f"The ID token's signature cannot be checked ({type(why).__name__}).")

    def _where(self) -> Places | Failed:
        now = self._clock()
        with self._lock:
            if self._places and now - self._places[1] < KEPT:
                return self._places[0]
        url = f"{self._oidc.issuer.rstrip('/')}/.well-known/openid-configuration"
        with Fetcher(self._fetch) as fetcher:
            told = _json(fetcher.get_file(url), "discovery")
        places = told if isinstance(told, Failed) else self._checked(told)
        if isinstance(places, Places):
            with self._lock:
                self._places = places, now
        return places

    def _checked(self, told: dict[str, Any]) -> Places | Failed:
        """The places in a discovery document that is the issuer's own (OpenID Connect Discovery §4.3)."""
        if told.get("issuer") != self._oidc.issuer:
            return Failed("The provider calls itself something else than [login.oidc] issuer says.")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        found = [told.get(name) for name in names]
        scheme = urlsplit(self._oidc.issuer).scheme
        for name, url in zip(names, found, strict=True):
            if not isinstance(url, str) or urlsplit(url).scheme not in ("https", scheme):
                return Failed(f"The provider's {name} is no address that can be used.")
        methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        by_post = isinstance(methods, list) and "client_secret_basic" not in methods
        says_issuer = told.get("authorization_response_iss_parameter_supported") is True
        authorization, token, keys = map(str, found)
        return Places(authorization, token, keys, by_post, says_issuer)

    def _key_set(self, places: Places, *, again: bool) -> KeySet | Failed:
        """The provider's keys; `again` asks once more, where they were not asked for just now."""
        now = self._clock()
        with self._lock:
            if self._keys and now - self._keys[1] < (ASKED_AGAIN if again else KEPT):
                return self._keys[0]
        with Fetcher(self._fetch) as fetcher:
            told = _json(fetcher.get_file(places.keys), "keys")
        keys = told if isinstance(told, Failed) else _usable(told)
        if isinstance(keys, KeySet):
            with self._lock:
                self._keys = keys, now
        return keys


def _usable(told: dict[str, Any]) -> KeySet | Failed:
    """The public keys that signatures are checked with: no shared secrets, nothing weak, nothing for another use."""
    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    usable = list[Key]()
    listed = told.get("keys")
    for one in listed if isinstance(listed, list) else []:
        kind = kinds.get(str(one.get("kty"))) if isinstance(one, dict) else None
        if kind is None or one.get("use", "sig") != "sig" or "d" in one or _is_weak(one):
            continue
        try:
            usable.append(kind.import_key(one))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(usable) if usable else Failed("The provider has no key that signatures can be checked with.")


def _is_weak(key: dict[str, Any]) -> bool:
    """Whether it is an RSA key whose modulus is too short (RFC 7518 §3.3); base64 has six bits a letter."""
    return key.get("kty") == "RSA" and len(str(key.get("n", ""))) * 6 < SMALLEST_RSA


def _json(answer: Answer, what: str) -> dict[str, Any] | Failed:
    if not isinstance(answer, Fetched):
        reason = answer.reason if isinstance(answer, Failed) else "It gave nothing."
        return Failed(f"The provider's {what}: {reason}")
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else Failed(f"The provider's {what} is not JSON.")


def _claim(error: Exception) -> str:
    """Which claim is wrong; never what stands in it."""
    return str(getattr(error, "claim", None) or getattr(error, "error", "claims"))
