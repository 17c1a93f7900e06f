"""The calendar: what went out and what is coming, month by month; and weeks that are skipped, moved, put back."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from sqlalchemy.orm import Session

from digest.issues import reschedule
from digest.issues.outcomes import Refused
from digest.issues.reschedule import EFFECTS, Rescheduled
from digest.settings import Newsletter
from digest.web.accounts import Role
from digest.web.desk.change import declared
from digest.web.desk.month import Month, Refusal, month_page
from digest.web.desk.page import desk_page, see
from digest.web.desk.words import DONE
from digest.web.door import Door, form_of, rule, visitor_of
from digest.web.form import Form
from digest.web.parts import Parts
from digest.weeks import Moment, Week

ACTS = {"skip": "week-skipped", "move": "week-moved", "restore": "week-restored"}
"""What can be done with a week, and what is said afterwards."""


def calendar_routes(parts: Parts) -> list[HTTPRouteHandler]:
    """The month, for everybody; and changing a week, for publishers."""

    @get("/desk/calendar", opt=rule(Door.DESK), media_type="text/html", sync_to_thread=True)
    def look(request: Request[Any, Any, Any]) -> Response[Any]:
        text = request.query_params.get("month", "")
        month = Month.parse(text) if text else _this_month(parts)
        if month is None:
            raise NotFoundException
        return _page(parts, request, month)

    @post(
        "/desk/calendar/{newsletter:str}/{week:str}/{step:str}",
        opt=rule(Door.DESK, Role.PUBLISHER),
        sync_to_thread=True,
    )
    def change(request: Request[Any, Any, Any], week: FromPath[str], step: FromPath[str]) -> Response[Any]:
        newsletter, form = declared(parts, request), form_of(request)
        try:
            which = Week.parse(week)
        except ValueError:
            raise NotFoundException from None
        if step not in ACTS:
            raise NotFoundException
        with parts.database.write() as session:
            result = _act(session, newsletter, which, step, form, visitor_of(request).name, parts)
            if isinstance(result, Refused):
                session.rollback()
        if isinstance(result, Refused):
            month = Month.parse(form.line("month")) or _this_month(parts)
            return _page(parts, request, month, result, Refusal(newsletter.slug, str(which), step, form))
        month = Month.of(result.send_at.astimezone(newsletter.timezone).date())
        done = ".".join([ACTS[step], *result.effects])
        return see(f"/desk/calendar?month={month}&done={done}#{newsletter.slug}-{which}")

    return [look, change]


def _act(
    session: Session, newsletter: Newsletter, week: Week, step: str, form: Form, who: str, parts: Parts
) -> Rescheduled | Refused:
    by: dict[str, Any] = {"seen": form.raw("seen"), "who": who, "now": parts.clock()}
    match step:
        case "skip":
            return reschedule.skip(session, newsletter, week, reason=form.line("reason"), **by)
        case "restore":
            return reschedule.restore(session, newsletter, week, **by)
        case _:
            try:
                to = Moment.parse(f"{form.line('day')} {form.line('time')}", week)
            except ValueError:
                return Refused("Choose a day and an hour, like 10:00.")
            return reschedule.move(session, newsletter, week, to, reason=form.line("reason"), **by)


def _page(
    parts: Parts,
    request: Request[Any, Any, Any],
    month: Month,
    refused: Refused | None = None,
    refusal: Refusal | None = None,
) -> Response[Any]:
    with parts.database.read() as session:
        page = month_page(session, parts.settings.newsletters, month, parts.clock(), refusal)
    sentences = {**DONE, **EFFECTS}
    # Only sentences of ours: whatever else is in the address says nothing.
    codes = request.query_params.get("done", "").split(".")
    said = " ".join(sentences[code] for code in codes if code in sentences)
    visitor = visitor_of(request)
    status = 422 if refused else 200
    return desk_page(parts, visitor, "calendar", status=status, page=page, refused=refused, said=said)


def _this_month(parts: Parts) -> Month:
    """Today's, on the first newsletter's clock."""
    zone = next(iter(parts.settings.newsletters.values())).timezone
    return Month.of(parts.clock().astimezone(zone).date())
