"""A small OpenID provider on loopback, with real keys and real HTTP; a test may make it lie in any one thing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

CLIENT, SECRET = "digest-desk", "a secret with / and + in it"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
"""Somebody else's key that says it is the first one."""


with warnings.catch_warnings():
    warnings.simplefilter("ignore", SecurityWarning)
    WEAK = RSAKey.generate_key(1024, {"kid": "weak", "use": "sig", "alg": "RS256"})


def keep(claims: dict[str, Any]) -> dict[str, Any]:
    return claims


@dataclass
class Identity:
    """What the provider says; each field is what an attacker, or a bad provider, would change."""

    url: str
    now: Callable[[], float]
    subject: str = "sub-1"
    more: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: Key = field(default_factory=lambda: RSA)
    kid: str | None = "rsa"
    published: list[Key] = field(default_factory=lambda: [RSA, EC, ED])
    claims: Callable[[dict[str, Any]], dict[str, Any]] = keep
    forge: Callable[[str], str] = str
    discovery: dict[str, Any] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def authorize(self, url: str) -> dict[str, str]:
        """What a browser brings back after a log-in at the authorization endpoint."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def get(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                **self.discovery,
            }
        private = {"oct"}
        return {"keys": [key.as_dict(private=key.key_type in private) for key in self.published]}

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != asked["code_challenge"]:
            return None
        if form["redirect_uri"] != asked["redirect_uri"] or not self._is_client(form, authorization):
            return None
        now = int(self.now())
        claims = {"iss": self.url, "sub": self.subject, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.more}
        return {
            "access_token": "x" * 20,
            "token_type": "Bearer",
            "id_token": self.forge(self.sign(self.claims(claims))),
        }

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.algorithm, **({"kid": self.kid} if self.kid else {})}
        if self.algorithm == "none":
            return f"{_part(header)}.{_part(claims)}."
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])

    def confuse(self, token: str) -> str:
        """CVE-2024-37568: the public RSA key, which everybody knows, taken for a shared secret."""
        said = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{token.split('.')[1]}"
        mac = hmac.digest(RSA.as_pem(private=False), said.encode(), "sha256")
        return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def _is_client(self, form: dict[str, str], authorization: str) -> bool:
        if authorization:
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            return (unquote(name), unquote(secret)) == (CLIENT, SECRET)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    identity: Identity

    def do_GET(self) -> None:
        self._answer(self.identity.get(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._answer(self.identity.token(form, self.headers.get("authorization", "")))

    def _answer(self, said: dict[str, Any] | None) -> None:
        self.identity.asked.append(self.path)
        if there := self.identity.redirects.get(self.path):
            self.send_response(302)
            self.send_header("location", there)
            self.end_headers()
            return
        body = json.dumps(said if said is not None else {"error": "invalid_grant"}).encode()
        body += b" " * self.identity.sizes.get(self.path, 0)
        self.send_response(200 if said is not None else 400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name.
        pass


@contextmanager
def serving_identity(now: Callable[[], float]) -> Iterator[Identity]:
    """The provider on a free port of this machine."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        identity = Identity(f"http://127.0.0.1:{server.server_port}", now)
        handler.identity = identity  # type: ignore[attr-defined]  # The class was made a line before.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield identity
        server.shutdown()
        thread.join()
