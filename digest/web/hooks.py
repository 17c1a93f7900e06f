"""Where mail providers tell of bounces and complaints: verified, stored, answered; the worker reads it (N-30 to N-36).

A provider that is not set up whole, and every other path, is answered as if there were nothing (fail closed). What is
refused is not parsed further, and nothing of it is logged but why.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import structlog
from litestar import Request, Response
from litestar.concurrency import sync_to_thread
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler, post
from litestar.params import FromPath
from sqlalchemy.exc import SQLAlchemyError

from digest.gather.answers import Failed
from digest.inbound.arrivals import LARGEST, take_in_all
from digest.inbound.hooks import mailgun, postmark, sendgrid, sns
from digest.inbound.hooks.certificates import Certificates, guarded_fetch
from digest.inbound.hooks.event import Passed, Refused, octets
from digest.web.door import Door, rule
from digest.web.parts import Parts

log = structlog.get_logger("digest.web")

_TYPES = {"ses": {"text/plain", "application/json"}}
"""SNS calls its JSON plain text."""
_JSON = {"application/json"}
_LATER = {"retry-after": "60"}
_NO_STORE = {"cache-control": "no-store"}


def hook_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """`POST /hooks/{provider}/{path}`."""
    door = HookDoor(parts)

    @post("/hooks/{provider:str}/{path:str}", opt=rule(Door.HOOK), request_max_body_size=LARGEST, status_code=200)
    async def tell(request: Request[Any, Any, Any], provider: FromPath[str], path: FromPath[str]) -> Response[str]:
        if not door.is_open(provider, path):
            raise NotFoundException
        if request.content_type[0] not in _TYPES.get(provider, _JSON):
            return _answer(provider, Refused(415, "it does not say that it is JSON"))
        raw = await request.body()
        client = request.client.host if request.client else None
        # A certificate may have to be fetched, and the database may have to be waited for.
        return _answer(provider, await sync_to_thread(door.take, provider, raw, dict(request.headers), client))

    return [tell]


class HookDoor:
    """Verifies a request and keeps what it tells; safe to use from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._hooks = parts.settings.hooks
        self._fetch = parts.fetch_file or guarded_fetch(parts.settings.fetch)
        self._certificates = Certificates(self._fetch, parts.clock)

    def is_open(self, provider: str, path: str) -> bool:
        """Whether this is the secret address of a provider that is set up whole (N-30)."""
        expected = self._hooks.path_of(provider)
        return bool(expected) and hmac.compare_digest(octets(path), octets(expected))

    def take(self, provider: str, raw: bytes, headers: dict[str, str], client: str | None) -> Passed | Refused:
        """What a request comes to; it is durable when this returns."""
        verdict = self._verify(provider, raw, headers, client)
        if isinstance(verdict, Refused):
            return verdict
        if verdict.confirm and isinstance(failed := self._fetch(verdict.confirm), Failed):
            return Refused(503, f"the topic could not be confirmed: {failed.reason}")
        pairs = [(octets(one.key) or self._name(one.raw), one.raw) for one in verdict.events]
        try:
            if pairs:
                take_in_all(self._parts.database, self._parts.vault, provider, pairs, self._parts.clock())
        except SQLAlchemyError as error:
            return Refused(503, f"the database did not take it ({type(error).__name__})")
        return verdict

    def _name(self, raw: bytes) -> bytes:
        """What an event is known by that its provider gives no name: keyed, since it may be little but an address."""
        return hmac.digest(self._parts.keys.token, b"event without a name\0" + raw, "sha256")

    def _verify(self, provider: str, raw: bytes, headers: dict[str, str], client: str | None) -> Passed | Refused:
        now = self._parts.clock()
        verify: dict[str, Callable[[], Passed | Refused]] = {
            "ses": lambda: sns.verify(raw, self._hooks, self._certificates.key, now),
            "mailgun": lambda: mailgun.verify(raw, self._hooks, now),
            "postmark": lambda: postmark.verify(raw, headers, client, self._hooks),
            "sendgrid": lambda: sendgrid.verify(raw, headers, self._hooks, now),
        }
        return verify[provider]()


def _answer(provider: str, verdict: Passed | Refused) -> Response[str]:
    """A provider's program reads the status alone."""
    if isinstance(verdict, Passed):
        if verdict.said or verdict.confirm:
            log.warning("a hook", provider=provider, said=verdict.said or "the topic is confirmed")
        return Response("taken\n", media_type=MediaType.TEXT, headers=_NO_STORE)
    log.warning("a hook was refused", provider=provider, status=verdict.status, why=verdict.why)
    later = _LATER if verdict.status == 503 else {}  # noqa: PLR2004 -- RFC 9110 §15.6.4.
    return Response(
        "not taken\n", media_type=MediaType.TEXT, status_code=verdict.status, headers={**_NO_STORE, **later}
    )
