"""What every change on the issue page has in common: save what was typed, then do what the button says, or neither.

All fields of the page are one form, so whichever button is pressed, nothing typed is lost. A refusal shows the page
again with the reason and with what was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from litestar import Request, Response
from litestar.exceptions import NotFoundException
from sqlalchemy.orm import Session

from digest.issues.checks import Examined, examine
from digest.issues.outcomes import Done, Finding, Refused
from digest.models import Issue
from digest.settings import Newsletter
from digest.web.desk.checked import BECAUSE, panel
from digest.web.desk.page import desk_page, see
from digest.web.desk.save import Hand, save_typed
from digest.web.desk.show import find_issue, is_open, issue_page
from digest.web.desk.typed import written
from digest.web.desk.words import DONE
from digest.web.door import form_of, visitor_of
from digest.web.form import Form
from digest.web.parts import Parts

Act = Callable[[Hand], "Done | Refused"]


@dataclass(frozen=True)
class Attempt:
    """What came of a button: of its own act, and of the words that were on the page."""

    result: Done | Refused
    kept: bool
    """Whether the words are saved; they are even where the act is then refused."""
    stale: bool
    """Whether the page was older than what stands."""


def change(
    parts: Parts, request: Request[Any, Any, Any], act: Act | None, done: str, anchor: str = ""
) -> Response[Any]:
    """Save what was typed and then act; afterwards back to the page, saying `done`."""
    tried = attempt(parts, request, act)
    if isinstance(tried.result, Refused):
        return refusal(parts, request, tried, tried.result)
    return back(request, done if act else _saying(tried.result, form_of(request)), anchor)


def attempt(parts: Parts, request: Request[Any, Any, Any], act: Act | None) -> Attempt:
    """Save what was typed, all of it or nothing, and then act."""
    newsletter = declared(parts, request)
    form, who, now = form_of(request), visitor_of(request).name, parts.clock()
    with parts.database.write() as session:
        issue = wanted(session, request)
        stale = form.number("revision") != issue.revision
        hand = Hand(session, issue, newsletter, form, who, now, form.number("revision"))
        saved = save_typed(hand)
        if isinstance(saved, Refused):
            session.rollback()
            return Attempt(saved, kept=False, stale=stale)
        result = act(replace(hand, revision=saved.revision)) if act else saved
    return Attempt(result, kept=True, stale=stale)


def refusal(parts: Parts, request: Request[Any, Any, Any], tried: Attempt, refused: Refused) -> Response[str]:
    """The page with the reason, and with the words that could not be saved."""
    form = None if tried.kept else form_of(request)
    return show_issue(parts, request, status=409 if tried.stale else 422, refused=refused, form=form)


def back(request: Request[Any, Any, Any], done: str, anchor: str = "") -> Response[Any]:
    """Back to the issue's page, which then says what was done."""
    where = f"{request.path_params['newsletter']}/{request.path_params['week']}"
    return see(f"/desk/issues/{where}?done={done}{anchor}")


def show_issue(
    parts: Parts,
    request: Request[Any, Any, Any],
    *,
    status: int = 200,
    refused: Refused | None = None,
    form: Form | None = None,
    done: str | None = None,
) -> Response[str]:
    """The issue page as it stands, with what was typed over it where it could not be saved."""
    newsletter = declared(parts, request)
    with parts.database.read() as session:
        issue = wanted(session, request)
        examined = examined_of(parts, session, issue, newsletter)
        findings = examined.findings if examined else ()
        page = issue_page(session, issue, newsletter, findings, parts.clock(), form)
    unsaved = written(form) if form and not page.can_edit else ()
    return desk_page(
        parts,
        visitor_of(request),
        "issue",
        status=status,
        page=page,
        panel=panel(examined, newsletter, _reasons(request)) if examined else None,
        refused=refused,
        kept=form is None,
        unsaved=unsaved,
        said=DONE.get(done or "", ""),
    )


def examined_of(parts: Parts, session: Session, issue: Issue, newsletter: Newsletter) -> Examined | None:
    """The issue as it stands with what the checks say about it; none once it is out."""
    return examine(session, issue.id, newsletter, parts.renderer, base_url=parts.base_url) if is_open(issue) else None


def findings_of(parts: Parts, session: Session, issue: Issue, newsletter: Newsletter) -> tuple[Finding, ...]:
    """What the checks say about the issue as it stands; nothing once it is out."""
    examined = examined_of(parts, session, issue, newsletter)
    return examined.findings if examined else ()


def declared(parts: Parts, request: Request[Any, Any, Any]) -> Newsletter:
    """The newsletter that the address names. Raises `NotFoundException`."""
    newsletter = parts.newsletter(str(request.path_params["newsletter"]))
    if newsletter is None:
        raise NotFoundException
    return newsletter


def wanted(session: Session, request: Request[Any, Any, Any]) -> Issue:
    """The issue that the address names. Raises `NotFoundException`."""
    issue = find_issue(session, str(request.path_params["newsletter"]), str(request.path_params["week"]))
    if issue is None:
        raise NotFoundException
    return issue


def _saying(result: Done, form: Form) -> str:
    if result.note:
        return "withdrawn-by-change"
    return "same" if str(result.revision) == form.text("revision") else "saved"


def _reasons(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The reasons for overrides that were typed and came to nothing, by the keys of their findings."""
    if request.method != "POST":
        return {}
    return {
        name.removeprefix(BECAUSE): form_of(request).line(name)
        for name in form_of(request).fields
        if name.startswith(BECAUSE)
    }
