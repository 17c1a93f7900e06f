"""The account of an issue that has gone out, as a page and as JSON, and settling what is unknown (W-40)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from sqlalchemy.orm import Session

from digest.issues.outcomes import Done, Refused
from digest.issues.resolve import OpenOne, leave, open_ones, resend
from digest.mail.report import IssueReport, ProviderLine, Tries, to_json
from digest.mail.report_data import report_of
from digest.models import Issue
from digest.settings import Newsletter
from digest.web.accounts import Role
from digest.web.desk.change import declared, wanted
from digest.web.desk.issue import PATH
from digest.web.desk.page import count_of, desk_page, local_time, see
from digest.web.desk.plot import Plot, Share, plot_of, provider_shares, shares, spoken, tries_share
from digest.web.desk.words import ACTIONS, state_word
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.form import Form
from digest.web.parts import Parts
from digest.weeks import Week
from subscribers.tokens import Links

CHOICE = "delivery-"
"""What the name of a tick box begins with; the delivery's number follows."""
_TICKED = re.compile(rf"{CHOICE}(\d{{1,18}})", re.ASCII)
DONE = {
    "left": "Left as they are. They stay unknown in the account, and nobody is asked about them again.",
    "resent": "They are sent once more, as the very same message. The account closes again when they are settled.",
}
# After a change the browser is sent to `?done=<code>`: only these sentences can be shown.
OUTCOMES = {
    "accepted": "Accepted",
    "rejected": "Rejected",
    "excluded": "Excluded",
    "unknown": "Unknown",
    "waiting": "Under way",
}
NOTES = {
    "accepted": "taken over by the relay",
    "rejected": "refused for good",
    "excluded": "left meanwhile, or stopped",
    "unknown": "no answer came; not sent again by itself",
    "waiting": "queued, or to be tried again",
}
SCOPES = {
    "recipient": "the reader’s mailbox",
    "message": "the message",
    "sender": "us, the sender",
    "relay": "the relay",
    "none": "–",
}
PROVIDERS = {
    "google": "Google",
    "microsoft": "Microsoft",
    "yahoo": "Yahoo",
    "apple": "Apple",
    "other": "Others",
    "not tried": "Not tried",
}

Act = Callable[[Session, Issue, tuple[int, ...]], "Done | Refused"]


@dataclass(frozen=True)
class Class:
    """One side of the closing equation."""

    kind: str
    word: str
    note: str
    count: int


@dataclass(frozen=True)
class Line:
    """A provider, with its bar."""

    word: str
    counts: ProviderLine
    shares: tuple[Share, ...]
    accepted: str
    """How many of those who were tried, in per cent."""


@dataclass(frozen=True)
class Happened:
    """Something that was done to the issue."""

    when: str
    who: str
    did: str
    detail: str


@dataclass(frozen=True)
class ReportPage:
    """All that `desk/report.html` uses."""

    name: str
    path: str
    title: str
    week: int
    date: str
    state: str
    state_word: str
    report: IssueReport
    classes: tuple[Class, ...]
    whole: tuple[Share, ...]
    facts: tuple[tuple[str, str, str], ...]
    plot: Plot | None
    lines: tuple[Line, ...]
    tries: tuple[tuple[Tries, str], ...]
    events: tuple[Happened, ...]
    open: tuple[OpenOne, ...]
    purged: str
    can_resend: bool
    scopes: dict[str, str]


def report_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The page and its JSON, for everybody at the desk; the two decisions, for publishers."""

    @get(f"{PATH}/report", opt=rule(Door.DESK), media_type=MediaType.HTML, sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        return _show(parts, request, said=DONE.get(request.query_params.get("done", ""), ""))

    @get(f"{PATH}/report.json", opt=rule(Door.DESK), media_type=MediaType.JSON, sync_to_thread=True)
    def data(request: Request[Any, Any, Any]) -> Response[Any]:
        with parts.database.read() as session:
            issue = wanted(session, request)
            written = to_json(report_of(session, issue.id, parts.clock()))
        return Response(written.encode(), media_type=MediaType.JSON)

    @post(f"{PATH}/report/leave", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def leave_them(request: Request[Any, Any, Any]) -> Response[Any]:
        by: dict[str, Any] = {"who": visitor_of(request).name, "now": parts.clock()}
        return _settle(parts, request, lambda session, issue, chosen: leave(session, issue.id, chosen, **by), "left")

    @post(f"{PATH}/report/resend", opt=rule(Door.DESK, Role.PUBLISHER), sync_to_thread=True)
    def resend_them(request: Request[Any, Any, Any]) -> Response[Any]:
        by: dict[str, Any] = {"who": visitor_of(request).name, "now": parts.clock()}
        made: dict[str, Any] = {"newsletter": declared(parts, request), "links": _links(parts)}

        def act(session: Session, issue: Issue, chosen: tuple[int, ...]) -> Done | Refused:
            return resend(session, issue.id, chosen, **made, **by)

        return _settle(parts, request, act, "resent")

    return [look, data, leave_them, resend_them]


def _settle(parts: Parts, request: Request[Any, Any, Any], act: Act, done: str) -> Response[Any]:
    """Decide about the deliveries that were ticked, exactly those that the page showed."""
    with parts.database.write() as session:
        issue = wanted(session, request)
        result = act(session, issue, chosen_in(form_of(request)))
    if isinstance(result, Refused):
        return _show(parts, request, status=422, refused=result.reason)
    return see(f"/desk/issues/{issue.name}/report?done={done}")


def chosen_in(form: Form) -> tuple[int, ...]:
    """The numbers of the deliveries that are ticked."""
    names = (_TICKED.fullmatch(name) for name in form.fields)
    return tuple(sorted(int(found[1]) for found in names if found))


def _show(
    parts: Parts, request: Request[Any, Any, Any], *, status: int = 200, said: str = "", refused: str = ""
) -> Response[str]:
    newsletter = declared(parts, request)
    with parts.database.read() as session:
        issue = wanted(session, request)
        page = report_page(session, issue, newsletter, _links(parts), parts.clock())
    return desk_page(
        parts, visitor_of(request), "report", status=status, page=page, said=said, refused=refused, choice=CHOICE
    )


def _links(parts: Parts) -> Links:
    return Links(parts.base_url, parts.keys.token)


def report_page(session: Session, issue: Issue, newsletter: Newsletter, links: Links, now: dt.datetime) -> ReportPage:
    """The page's values."""
    zone = newsletter.timezone
    report = report_of(session, issue.id, now)
    classes = _classes(report)
    most_readers = max((line.readers for line in report.providers), default=1)
    most_tries = max((one.count for one in report.attempts), default=1)
    return ReportPage(
        name=issue.name,
        path=f"/desk/issues/{issue.name}",
        title=newsletter.title,
        week=Week.parse(issue.week).number,
        date=f"{issue.send_at.astimezone(zone):%A, %-d %B %Y}",
        state=issue.state.value,
        state_word=state_word(issue),
        report=report,
        classes=classes,
        whole=shares([(one.kind, one.count) for one in classes], max(report.outcomes.total, 1)),
        facts=tuple(_facts(report, newsletter)),
        plot=plot_of(report.rate, report.events, zone),
        lines=tuple(_line(line, most_readers) for line in report.providers),
        tries=tuple((one, tries_share(one, most_tries)) for one in report.attempts),
        events=tuple(
            Happened(local_time(one.at, zone), one.who, ACTIONS.get(one.action, one.action), one.detail)
            for one in report.events
        ),
        open=() if report.is_kept else open_ones(session, issue.id, newsletter, links),
        purged=f"{report.made_at.astimezone(zone):%-d %B %Y}" if report.is_kept else "",
        can_resend=issue.state.value != "cancelled",
        scopes=SCOPES,
    )


def _classes(report: IssueReport) -> tuple[Class, ...]:
    sums = report.equation
    waiting = sums.queued + sums.deferred + sums.committing
    counts = {
        "accepted": sums.accepted,
        "rejected": sums.rejected,
        "excluded": sums.excluded,
        "unknown": sums.unknown,
        "waiting": waiting,
    }
    return tuple(
        Class(kind, OUTCOMES[kind], NOTES[kind], count) for kind, count in counts.items() if count or kind != "waiting"
    )


def _facts(report: IssueReport, newsletter: Newsletter) -> list[tuple[str, str, str]]:
    """What there is to know of its time: a word, the fact, and what is less important of it."""
    zone, rate = newsletter.timezone, report.rate
    if report.first_accepted_at is None or report.last_accepted_at is None or report.duration is None:
        return [("Accepted", "nobody so far", "")]
    last = report.last_accepted_at.astimezone(zone)
    facts = [
        ("First", f"{report.first_accepted_at.astimezone(zone):%a %-d %b, %H:%M:%S}", zone.key),
        ("Last", f"{last:%a %-d %b, %H:%M:%S}", f"{spoken(report.duration)} later"),
        ("Rate", f"{rate.mean:,.0f} a minute", f"on average; {rate.peak:,.0f} at the most"),
    ]
    if rate.later:
        facts.append(("Tail", count_of(rate.later, "copy", "copies"), "left later, after being tried again"))
    return facts


def _line(line: ProviderLine, largest: int) -> Line:
    tried = line.readers - line.excluded - line.waiting
    share = f"{100 * line.accepted / tried:.1f} %" if tried else "–"
    return Line(PROVIDERS.get(line.provider, line.provider), line, provider_shares(line, largest), share)
