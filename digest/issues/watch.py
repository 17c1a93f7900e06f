"""Looking after the open issues: what their links answer, what a spam filter says, which approved one has turned red.

An approved issue that a check no longer lets out is put on hold at once, and the newsroom hears of it while there is
still time; at its hour `publish` would refuse it anyway, by the same checks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from digest.gather.fetch import Fetcher
from digest.issues import links
from digest.issues.checks import Examined, examine, score_of, scored_as
from digest.issues.control import locked
from digest.issues.edit import OPEN
from digest.issues.outcomes import Refused
from digest.issues.plan import Hands, held_and_told
from digest.issues.publish import blocked
from digest.mail import spam
from digest.mail.compose import NOBODY, NotSendable, issue_mailing
from digest.mail.render import Rendered
from digest.models import Issue, IssueState, MailScore, PostVersion
from digest.settings import Newsletter, Settings
from digest.weeks import Week
from subscribers.tokens import Links

LOOKED_AFTER = dt.timedelta(days=14)
"""An issue whose hour is longer past is nobody's concern any more, though it may stand open for ever."""
FORGOTTEN = dt.timedelta(days=60)
_log = structlog.get_logger(__name__)
_said: set[str] = set()
"""What was said once by this process, and need not be said every minute."""


@dataclass(frozen=True)
class Eyes:
    """What looking after issues is done with."""

    hands: Hands
    settings: Settings
    clock: Callable[[], dt.datetime]
    fetcher: Callable[[], Fetcher]
    """Makes the guarded client for one visit."""
    filters: Mapping[str, Sequence[str]]
    """The commands of spam filters by their names in the settings (`spam.COMMANDS`)."""


def watch(eyes: Eyes, newsletter: Newsletter, now: dt.datetime) -> tuple[str, ...]:
    """Look at every open issue of a newsletter once; returns what was done, a sentence each."""
    with eyes.hands.database.read() as session:
        mine = sa.select(Issue.id).where(Issue.newsletter == newsletter.slug, Issue.state.in_(OPEN))
        standing = session.scalars(mine.where(Issue.send_at > now - LOOKED_AFTER).order_by(Issue.id)).all()
    return tuple(said for issue_id in standing for said in _look_after(eyes, newsletter, issue_id, now))


def ask_now(eyes: Eyes) -> int:
    """Ask the links that are due; returns how many were asked."""
    if not eyes.settings.checks.links:
        return 0
    return links.knock(eyes.hands.database, links.rule_of(eyes.settings), eyes.fetcher, eyes.clock)


def forget(eyes: Eyes, now: dt.datetime) -> None:
    """Remove what nobody will ask for again: links, versions of posts and scores of two months ago."""
    with eyes.hands.database.write() as session:
        links.forget(session, now - FORGOTTEN)
        session.execute(sa.delete(PostVersion).where(PostVersion.until < now - FORGOTTEN))
        session.execute(sa.delete(MailScore).where(MailScore.at < now - FORGOTTEN))


def _look_after(eyes: Eyes, newsletter: Newsletter, issue_id: int, now: dt.datetime) -> Iterator[str]:
    hands, checks = eyes.hands, eyes.settings.checks
    with hands.database.read() as session:
        examined = examine(session, issue_id, newsletter, hands.renderer, base_url=hands.base_url)
        lacking = links.lacking(session, examined.addresses, now, checks.links_every) if checks.links else ()
        scored = not examined.renderings or checks.spam == "off" or score_of(session, examined.renderings) is not None
    if examined.blocking and (said := _hold(hands, newsletter, issue_id, examined, now)):
        yield said
    if lacking:
        with hands.database.write() as session:
            links.want(session, lacking, now)
    if not scored and examined.rendered:
        _score(eyes, newsletter, issue_id, examined.rendered, now)


def _hold(hands: Hands, newsletter: Newsletter, issue_id: int, examined: Examined, now: dt.datetime) -> str:
    """Hold an issue that was approved and is blocked; what is done where it is neither: nothing."""
    with hands.database.read() as session:
        if session.scalar(sa.select(Issue.state).where(Issue.id == issue_id)) is not IssueState.APPROVED:
            return ""
    hands.prepare()
    with hands.database.write() as session:
        issue = locked(session, issue_id)
        # Asked again with the row locked: somebody may have taken the approval back, or changed what was wrong.
        if isinstance(issue, Refused) or issue.state is not IssueState.APPROVED or issue.revision != examined.revision:
            return ""
        return held_and_told(hands, session, newsletter, issue_id, blocked(examined).reason, now)


def _score(eyes: Eyes, newsletter: Newsletter, issue_id: int, rendered: Rendered, now: dt.datetime) -> None:
    """Ask the spam filter about the mail that most readers get, and keep what it says."""
    checks, database = eyes.settings.checks, eyes.hands.database
    with database.read() as session:
        week = Week.parse(session.get_one(Issue, issue_id).week)
    try:
        nobodys = Links(eyes.hands.base_url, b"\0" * 32)
        mailing = issue_mailing(newsletter, rendered, nobodys, week=str(week), made_at=now, by_hand=True)
    except NotSendable:
        return  # The checks say so in words of their own.
    mail = b"".join(mailing.copy("reader@example.org", NOBODY, NOBODY))
    answer = spam.score(mail, eyes.filters[checks.spam], checks.spam_timeout)
    if isinstance(answer, spam.NoScore):
        if answer.reason not in _said:
            _said.add(answer.reason)
            _log.warning("no spam score", why=answer.reason)
        return
    with database.write() as session:
        row = MailScore(digest=scored_as(rendered), at=now, score=answer.score, required=answer.required)
        row.said = "\n".join(answer.said)
        session.merge(row)
