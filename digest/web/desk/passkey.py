"""Logging in by a passkey: the challenge, and the answer to it."""

from __future__ import annotations

import secrets
from typing import Any

from litestar import Request, Response, post
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler

from digest.issues import log
from digest.models import StepKind
from digest.web.access import passkeys
from digest.web.access.steps import Proof
from digest.web.desk.entering import advance, begin_step, find_step
from digest.web.desk.login import login_page, safe_next
from digest.web.door import Door, form_of, rule
from digest.web.parts import Parts

UNKNOWN = "This passkey does not open the desk. If it was removed, use another way in."
OVER = "That took too long. Please try once more."


def passkey_login_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """What the browser is to sign, and the log-in. Both are alike for everybody: nobody is named before."""

    @post("/desk/login/passkey/options", opt=rule(Door.LOGIN), sync_to_thread=True)
    def options(request: Request[Any, Any, Any]) -> Response[Any]:
        site = parts.passkey_site
        if site is None:
            return Response({"problem": "Passkeys need https and a name of this site."}, status_code=403)
        challenge = secrets.token_bytes(32)
        text = passkeys.authentication(site, challenge)
        answer: Response[Any] = Response(text.encode(), media_type=MediaType.JSON)
        wanted = safe_next(form_of(request).raw("next"))
        with parts.database.write() as session:
            begin_step(parts, session, answer, StepKind.PASSKEY, secret=challenge, wanted=wanted)
        return answer

    @post("/desk/login/passkey", opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def enter(request: Request[Any, Any, Any]) -> Response[Any]:
        return _enter(parts, request)

    return [options, enter]


def _enter(parts: Parts, request: Request[Any, Any, Any]) -> Response[Any]:
    now, site = parts.clock(), parts.passkey_site
    with parts.database.write() as session:
        step = find_step(parts, request, session, StepKind.PASSKEY, take=True)
        if site is None or step is None or step.secret is None:
            return login_page(parts, safe_next(form_of(request).raw("next")), problem=OVER, status=403)
        user_id = passkeys.authenticate(session, site, form_of(request).raw("answer"), step.secret, now)
        if user_id is None:
            log.append(session, at=now, who="somebody", action="passkey-failed", about="desk")
            return login_page(parts, step.wanted, problem=UNKNOWN, status=403)
        return advance(parts, request, session, user_id, Proof.PASSKEY, step.wanted)
