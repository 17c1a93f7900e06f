"""Logging in by the newsroom's own identity provider: the way there, and the way back (W-05).

The way there is a page that leads on by itself, not a redirect of a form: browsers would hold the provider's own
redirects against our policy of where forms may go. On the way back a GET changes nothing either: it shows a button (a
script presses it), and what that posts is the log-in.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.gather.answers import Failed
from digest.issues import log
from digest.issues.outcomes import Refused
from digest.models import LoginStep, ProviderTie, StepKind, User
from digest.web.access import people
from digest.web.access.codes import factors_of
from digest.web.access.links import LinkKind, find_link, use_link
from digest.web.access.people import Actor, lock_people
from digest.web.access.provider import Journey, Known, Provider
from digest.web.access.steps import Proof
from digest.web.accounts import BadAccount, clean_name, end_sessions, new_user
from digest.web.desk.entering import advance, begin_step, find_step
from digest.web.desk.login import HOME, login_page, safe_next
from digest.web.desk.page import desk_page
from digest.web.door import Door, form_of, rule
from digest.web.parts import Parts

START = "/desk/login/provider"
BACK = "/desk/login/provider/return"
WHO = "provider"
FAILED = "That did not work. Please try once more; if it goes on, tell whoever runs the desk. The log says why."
UNKNOWN = "You are known there, but not at this desk. Ask an administrator of the desk for an invitation."
OVER = "That took too long, or came back twice. Please begin anew."


def provider_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """There and back; none of it is there without `[login.oidc]`."""

    @post(START, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def begin(request: Request[Any, Any, Any]) -> Response[Any]:
        return _begin(parts, request, _provider(parts))

    @get(BACK, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def come_back(request: Request[Any, Any, Any]) -> Response[Any]:
        _provider(parts)
        said = {name: request.query_params.get(name, "") for name in ("state", "code", "iss", "error")}
        return desk_page(parts, None, "provider_back", said=said, provider=_name(parts))

    @post(BACK, opt=rule(Door.LOGIN), media_type="text/html", sync_to_thread=True)
    def finish(request: Request[Any, Any, Any]) -> Response[Any]:
        return _finish(parts, request, _provider(parts))

    return [begin, come_back, finish]


def _begin(parts: Parts, request: Request[Any, Any, Any], provider: Provider) -> Response[Any]:
    form = form_of(request)
    wanted = safe_next(form.raw("next"))
    begun = provider.begin(form.raw("invitation"))
    if isinstance(begun, Failed):
        return _failed(parts, wanted, begun.reason)
    url, journey = begun
    answer = desk_page(parts, None, "provider_go", url=url, provider=_name(parts))
    with parts.database.write() as session:
        begin_step(parts, session, answer, StepKind.PROVIDER, secret=journey.packed(), wanted=wanted)
    return answer


def _finish(parts: Parts, request: Request[Any, Any, Any], provider: Provider) -> Response[Any]:
    # The step is taken before anybody is asked: what comes back is good once, whatever comes of it.
    with parts.database.write() as session:
        step = find_step(parts, request, session, StepKind.PROVIDER, take=True)
    if step is None or step.secret is None:
        return login_page(parts, HOME, problem=OVER, status=403)
    journey = Journey.unpacked(step.secret)
    known = provider.finish(journey, form_of(request).fields)
    if isinstance(known, Failed):
        return _failed(parts, step.wanted, known.reason)
    with parts.database.write() as session:
        return _known(parts, request, session, step, known, journey.invitation)


def _known(
    parts: Parts, request: Request[Any, Any, Any], session: Session, step: LoginStep, known: Known, invitation: str
) -> Response[Any]:
    """Somebody whom the provider answers for: let them in if they are somebody here, or are to become somebody."""
    lock_people(session)
    user = _tied(session, known) or _invited(parts, session, known, invitation) or _new(parts, session, known)
    if user is None or user.disabled_at is not None or not _keeps_role(parts, session, user, known):
        log.append(session, at=parts.clock(), who="somebody", action="provider-unknown", about="desk")
        return login_page(parts, step.wanted, problem=UNKNOWN, status=403)
    return advance(parts, request, session, user.id, Proof.PROVIDER, step.wanted)


def _tied(session: Session, known: Known) -> User | None:
    """Whoever this person of the provider is here: by issuer and subject, and by nothing else."""
    tie = session.get(ProviderTie, (known.issuer, known.subject))
    return session.get(User, tie.user_id) if tie else None


def _invited(parts: Parts, session: Session, known: Known, token: str) -> User | None:
    """Tie them to the account whose link they came by. Not where it has a second factor: that would be stepped over."""
    now = parts.clock()
    link = find_link(session, LinkKind.WAY_IN, token, now) if token else None
    if link is None or link.user_id is None or factors_of(session, link.user_id).any:
        return None
    user, is_mailed = session.get_one(User, link.user_id), link.is_mailed
    if user.disabled_at is not None or not use_link(session, link):
        return None
    if is_mailed and user.address_sealed:
        user.address_verified_at = now
    _tie(session, user, known, parts)
    return user


def _new(parts: Parts, session: Session, known: Known) -> User | None:
    """An account for somebody unknown whose claim means a role, if the settings want that."""
    oidc = parts.settings.login.oidc
    if oidc is None or oidc.unknown != "by-role" or known.role is None:
        return None
    name = _free_name(session, known.called)
    user = new_user(session, parts.vault, name, known.role, None, parts.clock())
    log.append(session, at=parts.clock(), who=WHO, action="user-added", about=name, detail=f"as {known.role}")
    _tie(session, user, known, parts)
    return user


def _keeps_role(parts: Parts, session: Session, user: User, known: Known) -> bool:
    """Where roles come from the provider, they follow its claim at each log-in; whoever has none any more stays out."""
    oidc = parts.settings.login.oidc
    if oidc is None or oidc.unknown != "by-role":
        return True
    if known.role is None:
        return False
    refused = people.set_role(session, user.id, known.role, by=Actor(WHO), now=parts.clock())
    if isinstance(refused, Refused):
        log.append(session, at=parts.clock(), who=WHO, action="role-kept", about=user.name, detail=refused.reason)
    return True


def _tie(session: Session, user: User, known: Known, parts: Parts) -> None:
    now = parts.clock()
    session.execute(sa.delete(ProviderTie).where(ProviderTie.user_id == user.id, ProviderTie.issuer == known.issuer))
    session.add(ProviderTie(issuer=known.issuer, subject=known.subject, user_id=user.id, created_at=now))
    user.joined_at = user.joined_at or now
    end_sessions(session, user.id)
    log.append(session, at=now, who=WHO, action="provider-tied", about=user.name)


def _free_name(session: Session, called: str) -> str:
    """A name like the provider's that nobody has; whoever is called like somebody here does not become them."""
    base = re.sub(r"[^\w.-]+", ".", called.partition("@")[0]).strip("._-")[:56]
    try:
        base = clean_name(base)
    except BadAccount:
        base = "person"
    taken = set(session.scalars(sa.select(User.name).where(User.name.startswith(base, autoescape=True))))
    return next(name for number in range(1, len(taken) + 3) if (name := _numbered(base, number)) not in taken)


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}-{number}"


def _failed(parts: Parts, wanted: str, reason: str) -> Response[Any]:
    with parts.database.write() as session:
        log.append(session, at=parts.clock(), who="somebody", action="provider-failed", about="desk", detail=reason)
    return login_page(parts, wanted, problem=FAILED, status=403)


def _provider(parts: Parts) -> Provider:
    if parts.provider is None:
        raise NotFoundException
    return parts.provider


def _name(parts: Parts) -> str:
    oidc = parts.settings.login.oidc
    return oidc.name if oidc else ""
