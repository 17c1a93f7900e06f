"""The second step of a log-in: the code of an app or a recovery code, or setting one up where the role needs one."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues import log
from digest.models import LoginStep, StepKind, User
from digest.web.access import codes, waiting
from digest.web.access.steps import Proof
from digest.web.desk.entering import ENROL, HALFWAY, attempt_of, find_step, let_in, retry_after, too_many
from digest.web.desk.page import desk_page, see
from digest.web.door import Door, form_of, rule
from digest.web.parts import Parts

ANEW = "/desk/login?done=over"
WRONG = "That code is not right, or was used before. Codes change every half minute."


def second_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page that asks for a code, and the one that sets an app up."""

    @get(HALFWAY, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def ask(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.read() as session:
            step = find_step(parts, request, session, StepKind.SECOND)
            return _asking(parts, session, step) if step else see(ANEW)

    @post(HALFWAY, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.write() as session:
            step = find_step(parts, request, session, StepKind.SECOND)
            return _answered(parts, request, session, step) if step else see(ANEW)

    @get(ENROL, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def show(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.read() as session:
            step = find_step(parts, request, session, StepKind.ENROL)
            return _enrolling(parts, session, step) if step else see(ANEW)

    @post(ENROL, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def confirm(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.write() as session:
            step = find_step(parts, request, session, StepKind.ENROL)
            return _enrolled(parts, request, session, step) if step else see(ANEW)

    return [ask, answer, show, confirm]


def _answered(parts: Parts, request: Request[Any, Any, Any], session: Session, step: LoginStep) -> Response[Any]:
    user, now = session.get_one(User, step.user_id), parts.clock()
    attempt = attempt_of(parts, request, user.name, "second")
    if left := parts.throttle.admit(attempt, now):
        answer = _asking(parts, session, step, problem=too_many(left), status=429)
        answer.headers.update(retry_after(left) or {})
        return answer
    proof = codes.check_code(session, parts.secret_box, user.id, form_of(request).raw("code"), now)
    if proof is None:
        log.append(session, at=now, who=user.name, action="code-failed", about="desk")
        return _asking(parts, session, step, problem=WRONG, status=403) if waiting.failed(session, step) else see(ANEW)
    if waiting.take(session, step.id_hash, StepKind.SECOND, now) is None:
        return see(ANEW)
    parts.throttle.succeeded(attempt)
    if proof is Proof.RECOVERY:
        left_over = codes.factors_of(session, user.id).recovery_codes
        log.append(session, at=now, who=user.name, action="recovery-code", about="desk", detail=f"{left_over} left")
    return let_in(parts, request, session, user, (Proof.PASSWORD, proof), see(step.wanted))


def _enrolled(parts: Parts, request: Request[Any, Any, Any], session: Session, step: LoginStep) -> Response[Any]:
    user, now = session.get_one(User, step.user_id), parts.clock()
    typed = form_of(request).raw("code")
    if not codes.confirm_enrolment(session, parts.secret_box, user.id, typed, now):
        more = waiting.failed(session, step)
        return _enrolling(parts, session, step, problem=WRONG, status=403) if more else see(ANEW)
    if waiting.take(session, step.id_hash, StepKind.ENROL, now) is None:
        session.rollback()
        return see(ANEW)
    fresh = codes.new_recovery_codes(session, user.id)
    log.append(session, at=now, who=user.name, action="app-added", about=user.name)
    answer = desk_page(parts, None, "recovery", codes=fresh, onward=step.wanted)
    return let_in(parts, request, session, user, (Proof.PASSWORD, Proof.CODE), answer)


def _asking(parts: Parts, session: Session, step: LoginStep, *, problem: str = "", status: int = 200) -> Response[Any]:
    assert step.user_id is not None  # noqa: S101 -- steps of this kind have somebody.
    factors = codes.factors_of(session, step.user_id)
    return desk_page(
        parts,
        None,
        "second",
        status=status,
        factors=factors,
        passkeys=parts.passkey_site is not None and factors.passkeys > 0,
        wanted=step.wanted,
        problem=problem,
    )


def _enrolling(
    parts: Parts, session: Session, step: LoginStep, *, problem: str = "", status: int = 200
) -> Response[Any]:
    assert step.user_id is not None  # noqa: S101 -- steps of this kind have somebody.
    shown = codes.enrolment(session, parts.secret_box, step.user_id, parts.title)
    if shown is None:
        return see(ANEW)
    return desk_page(parts, None, "enrol", status=status, enrolment=shown, problem=problem, action=ENROL, csrf="")
