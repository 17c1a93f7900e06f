"""From a proof to a session: what every way into the desk ends in, whichever page it began on.

Nothing here reads a form: what comes next is decided by `access.steps` from the proof, the role and the account's
factors alone, so that no field of a request can skip a step (CVE-2026-22594).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Cookie
from sqlalchemy.orm import Session

from digest.issues import log
from digest.models import LoginStep, StepKind, User
from digest.web.access import codes, waiting
from digest.web.access.browsers import browser_name
from digest.web.access.steps import Next, Proof, next_step
from digest.web.access.tokens import hash_id
from digest.web.accounts import BadAccount, Role, clean_name
from digest.web.desk.page import see
from digest.web.parts import Parts
from digest.web.sessions import cookie_name, desk_cookie, open_session, session_cookie
from digest.web.throttle import Attempt, make_device_mark, read_device_mark
from subscribers.networks import prefix_of

HALFWAY = "/desk/login/second"
ENROL = "/desk/login/enrol"
REMEMBER_DEVICE = dt.timedelta(days=90)


def advance(
    parts: Parts, request: Request[Any, Any, Any], session: Session, user_id: int, proof: Proof, wanted: str
) -> Response[Any]:
    """Take the next step after a proof: into the desk, or to the page that asks for the second factor."""
    user, now = session.get_one(User, user_id), parts.clock()
    step = next_step(proof, Role(user.role), codes.factors_of(session, user_id), parts.session_rules.second_factor)
    if step is Next.IN:
        return let_in(parts, request, session, user, (proof,), see(wanted))
    if step is Next.ENROL:
        codes.begin_enrolment(session, parts.secret_box, user_id, now)
    kind = StepKind.ENROL if step is Next.ENROL else StepKind.SECOND
    answer = see(ENROL if step is Next.ENROL else HALFWAY)
    begin_step(parts, session, answer, kind, user_id=user_id, wanted=wanted)
    return answer


def let_in(
    parts: Parts,
    request: Request[Any, Any, Any],
    session: Session,
    user: User,
    proofs: tuple[Proof, ...],
    answer: Response[Any],
) -> Response[Any]:
    """Begin the session, under an id that nobody has seen before, and give the answer its cookies."""
    is_strong = any(proof.is_strong for proof in proofs)
    renew_session(parts, request, session, user.id, answer, is_strong=is_strong)
    answer.set_cookie(_device_cookie(parts, user.name))
    for kind in (StepKind.SECOND, StepKind.PASSKEY, StepKind.PROVIDER):
        if (name := _step_cookie(parts, kind)) in request.cookies:
            answer.set_cookie(_ended(parts, name))
    how = " and ".join(proofs)
    log.append(session, at=parts.clock(), who=user.name, action="logged-in", about="desk", detail=f"by {how}")
    return answer


def renew_session(
    parts: Parts,
    request: Request[Any, Any, Any],
    session: Session,
    user_id: int,
    answer: Response[Any],
    *,
    is_strong: bool,
) -> None:
    """Give this browser a new session in place of the one it had (W-02)."""
    session_id = open_session(
        session,
        user_id,
        parts.clock(),
        instead_of=request.cookies.get(cookie_name(secure=parts.is_https)),
        is_strong=is_strong,
        browser=browser_name(request.headers.get("user-agent", "")),
        rules=parts.session_rules,
    )
    answer.set_cookie(session_cookie(session_id, secure=parts.is_https))


def begin_step(parts: Parts, session: Session, answer: Response[Any], kind: StepKind, **more: Any) -> None:
    """Leave a half-done log-in that only this browser can go on with."""
    step_id = waiting.begin(session, kind, parts.clock(), **more)
    answer.set_cookie(desk_cookie(_step_cookie(parts, kind), step_id, secure=parts.is_https))


def find_step(
    parts: Parts, request: Request[Any, Any, Any], session: Session, kind: StepKind, *, take: bool = False
) -> LoginStep | None:
    """This browser's half-done log-in of that kind; `take` lets it be used this once."""
    step_id = request.cookies.get(_step_cookie(parts, kind))
    if not step_id:
        return None
    return (waiting.take if take else waiting.find)(session, hash_id(step_id), kind, parts.clock())


def attempt_of(parts: Parts, request: Request[Any, Any, Any], name: str, step: str = "") -> Attempt:
    """What the throttle counts a try under; the second step is counted by itself."""
    try:
        account = clean_name(name)
    except BadAccount:
        account = ""
    mark = request.cookies.get(f"{cookie_name(secure=parts.is_https)}-device", "")
    prefix = prefix_of(request.client.host if request.client else None)
    device = read_device_mark(parts.keys.rate, account, mark)
    return Attempt(f"{account}\0{step}" if step else account, prefix, device)


def in_words(left: dt.timedelta) -> str:
    """How long to wait: `2 seconds`, `3 minutes`."""
    seconds = int(left.total_seconds()) + 1
    if seconds < 90:  # noqa: PLR2004 -- beyond it, minutes are the clearer word.
        return "a second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def too_many(left: dt.timedelta) -> str:
    """The sentence for whoever has to wait."""
    return f"There were too many tries. Please wait {in_words(left)} and try once more."


def retry_after(left: dt.timedelta | None) -> dict[str, str] | None:
    """The header that says so to programs (RFC 9110 §10.2.3)."""
    return {"retry-after": str(int(left.total_seconds()) + 1)} if left else None


def end_session_cookie(parts: Parts) -> Cookie:
    """What makes a browser forget its session."""
    return _ended(parts, cookie_name(secure=parts.is_https))


def _step_cookie(parts: Parts, kind: StepKind) -> str:
    # A passkey can be asked for while a second factor is: they must not take each other's cookie.
    names = {
        StepKind.SECOND: "step",
        StepKind.ENROL: "step",
        StepKind.PASSKEY: "passkey",
        StepKind.PROVIDER: "provider",
    }
    return f"{cookie_name(secure=parts.is_https)}-{names[kind]}"


def _device_cookie(parts: Parts, account: str) -> Cookie:
    name, mark = f"{cookie_name(secure=parts.is_https)}-device", make_device_mark(parts.keys.rate, account)
    return desk_cookie(name, mark, secure=parts.is_https, max_age=int(REMEMBER_DEVICE.total_seconds()))


def _ended(parts: Parts, name: str) -> Cookie:
    return desk_cookie(name, "", secure=parts.is_https, max_age=0)
