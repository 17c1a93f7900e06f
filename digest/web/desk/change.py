"""What every change on the issue page has in common: save what was typed, then do what the button says, or neither.

All fields of the page are one form, so whichever button is pressed, nothing typed is lost. A refusal shows the page
again with the reason and with what was typed. A page that is older than what stands is merged with it: what only one of
two people has changed is taken from that one, and of what both have changed both versions are shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from sqlalchemy.orm import Session

from digest.issues.checks import Examined, examine
from digest.issues.outcomes import Done, Finding, Refused
from digest.models import Issue
from digest.settings import Newsletter
from digest.web.desk.checked import BECAUSE, panel
from digest.web.desk.page import desk_page, see
from digest.web.desk.save import Hand, Saved, save_typed
from digest.web.desk.show import IssuePage, find_issue, is_open, issue_page
from digest.web.desk.typed import named, written
from digest.web.desk.words import DONE
from digest.web.door import form_of, visitor_of
from digest.web.form import Form
from digest.web.parts import Parts
from digest.web.sessions import Visitor

Act = Callable[[Hand], "Done | Refused"]


@dataclass(frozen=True)
class Attempt:
    """What came of a button: of its own act, and of the words that were on the page."""

    result: Done | Refused
    kept: bool
    """Whether the words are saved; they are even where the act is then refused."""
    stale: bool
    """Whether the page was older than what stands."""
    changed: bool = True
    """Whether saving the words has changed anything."""


def change(
    parts: Parts, request: Request[Any, Any, Any], act: Act | None, done: str, anchor: str = ""
) -> Response[Any]:
    """Save what was typed and then act; afterwards back to the page, saying `done`."""
    tried = attempt(parts, request, act)
    if isinstance(tried.result, Refused):
        return refusal(parts, request, tried, tried.result)
    return back(request, done if act else _saying(tried), anchor)


def attempt(parts: Parts, request: Request[Any, Any, Any], act: Act | None) -> Attempt:
    """Save what was typed, all of it that nobody else has changed too, and then act.

    The act is bound to the revision of the page, which words of one's own make a newer one of. So on an old page the
    act is refused that holds for a revision alone; one that asks what stands is not.
    """
    newsletter = declared(parts, request)
    form, who, now = form_of(request), visitor_of(request).name, parts.clock()
    with parts.database.write() as session:
        issue = wanted(session, request, locked=True)
        seen, stood = form.number("revision"), issue.revision
        hand = Hand(session, issue, newsletter, form, who, now, seen)
        saved = save_typed(hand)
        if isinstance(saved, Refused):
            session.rollback()
            return Attempt(saved, kept=False, stale=seen != stood)
        if saved.clashes:
            return Attempt(_clash(saved), kept=False, stale=True)
        result = act(replace(hand, revision=saved.done.revision if seen == stood else seen)) if act else saved.done
    if act:
        parts.remembered.forget(issue.id)
    return Attempt(result, kept=True, stale=seen != stood, changed=saved.done.revision != stood)


def _clash(saved: Saved) -> Refused:
    both = named(saved.clashes)
    return Refused(
        f"Somebody else has changed this meanwhile, and yours was not put over it: {both}. All else you wrote is saved."
    )


def refusal(parts: Parts, request: Request[Any, Any, Any], tried: Attempt, refused: Refused) -> Response[str]:
    """The page with the reason, and with the words that could not be saved."""
    typed = form_of(request)
    form, status = None if tried.kept else typed, 409 if tried.stale else 422
    return show_issue(parts, request, status=status, refused=refused, form=form, pasted=typed.line("link"))


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
    pasted: str = "",
) -> Response[str]:
    """The issue page as it stands, with what was typed over it where it could not be saved.

    `pasted` is the address of a story that could not be added.
    """
    newsletter, visitor = declared(parts, request), visitor_of(request)
    with parts.database.read() as session:
        issue = wanted(session, request)
        examined = _examined(parts, session, issue, newsletter, may_wait=not (done and wants_parts(request)))
        findings = examined.findings if examined else None if is_open(issue) else ()
        page = issue_page(session, issue, newsletter, findings, parts.clock(), form, may_edit=visitor.may_edit)
    context: dict[str, Any] = {
        "page": page,
        "panel": panel(examined, newsletter, _reasons(request)) if examined else None,
        "refused": refused,
        "kept": form is None,
        "unsaved": written(form) if form and not page.is_open else (),
        "pasted": pasted,
        "said": _said(done or "", page),
        "done": done or "",
    }
    if wants_parts(request):
        return _in_parts(parts, visitor, status, context)
    return desk_page(parts, visitor, "issue", status=status, **context)


def wants_parts(request: Request[Any, Any, Any]) -> bool:
    """Whether the page's own script asks, which puts what is new into the page that is open."""
    return request.headers.get("accept") == "application/json"


def _in_parts(parts: Parts, visitor: Visitor, status: int, context: dict[str, Any]) -> Response[str]:
    """The same page for its script: what changes of it as HTML, and in a word what was said."""
    refused: Refused | None = context["refused"]
    answer = {
        "page": parts.pages.render("desk/issue_page.html", visitor=visitor, **context),
        "revision": context["page"].revision,
        "done": context["done"],
        "said": context["said"],
        "refused": refused.reason if refused else "",
        "kept": context["kept"],
    }
    return Response(json.dumps(answer), status_code=status, media_type=MediaType.JSON)


def _examined(
    parts: Parts, session: Session, issue: Issue, newsletter: Newsletter, *, may_wait: bool
) -> Examined | None:
    """What the checks say; none once the issue is out, and where nobody waits for it: the page then asks once more."""
    if not is_open(issue):
        return None
    if may_wait:
        check = partial(examine, session, issue.id, newsletter, parts.renderer, base_url=parts.base_url)
        return parts.remembered.of(issue, parts.clock(), check)
    return parts.remembered.known(issue, parts.clock())


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


def wanted(session: Session, request: Request[Any, Any, Any], *, locked: bool = False) -> Issue:
    """The issue that the address names. Raises `NotFoundException`."""
    name = (str(request.path_params[part]) for part in ("newsletter", "week"))
    issue = find_issue(session, *name, locked=locked)
    if issue is None:
        raise NotFoundException
    return issue


def _said(done: str, page: IssuePage) -> str:
    """The sentence about what was done; of what was undone or done again it names whose change it was."""
    line = {"undone": page.within.redo, "redone": page.within.undo}.get(done)
    sentence = DONE.get(done, "")
    return f"{sentence.removesuffix('.')}: {line.who} {line.said}." if line else sentence


def _saying(tried: Attempt) -> str:
    if isinstance(tried.result, Done) and tried.result.note:
        return "withdrawn-by-change"
    return "saved" if tried.changed else "same"


def _reasons(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The reasons for overrides that were typed and came to nothing, by the keys of their findings."""
    if request.method != "POST":
        return {}
    return {
        name.removeprefix(BECAUSE): form_of(request).line(name)
        for name in form_of(request).fields
        if name.startswith(BECAUSE)
    }
