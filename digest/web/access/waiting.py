"""Log-ins that are half done: a row of their own, a cookie of their own, a few minutes, and nothing that they open.

A row is found by the random id in one browser's cookie, and taken out when it has done its work, so that nothing of it
can be played again. `kind` belongs to the key: a row that waits for a passkey is never taken for one that waits for a
code.
"""

from __future__ import annotations

import datetime as dt
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.models import LoginStep, StepKind
from digest.web.access.tokens import hash_id

LASTS = {
    StepKind.SECOND: dt.timedelta(minutes=10),
    StepKind.ENROL: dt.timedelta(minutes=20),
    StepKind.PASSKEY: dt.timedelta(minutes=5),
    StepKind.REGISTER: dt.timedelta(minutes=5),
    StepKind.PROVIDER: dt.timedelta(minutes=10),
}
MOST_FAILURES = 5
"""After so many wrong codes the log-in begins anew with the password, beside what the throttle says."""


def begin(
    session: Session,
    kind: StepKind,
    now: dt.datetime,
    *,
    user_id: int | None = None,
    secret: bytes | None = None,
    wanted: str = "",
    owner: bytes | None = None,
) -> str:
    """Leave a half-done log-in and give the id for its cookie: 256 random bits, of which only the hash is kept.

    `owner` is the hash of an id that the browser has already (a session's, a link's); then no new one is made, what
    was begun for it before is over, and the answer is empty. Rows whose time is over are swept away.
    """
    step_id = "" if owner else secrets.token_urlsafe(32)
    id_hash = owner or hash_id(step_id)
    session.execute(sa.delete(LoginStep).where(sa.or_(_is_over(now), _is(id_hash, kind))))
    session.add(
        LoginStep(id_hash=id_hash, kind=kind, user_id=user_id, secret=secret, wanted=wanted, failures=0, created_at=now)
    )
    return step_id


def find(session: Session, id_hash: bytes, kind: StepKind, now: dt.datetime) -> LoginStep | None:
    """The half-done log-in of that kind; none if there is none, or its time is over."""
    query = sa.select(LoginStep).where(_is(id_hash, kind), sa.not_(_is_over(now)))
    return session.scalars(query).one_or_none()


def take(session: Session, id_hash: bytes, kind: StepKind, now: dt.datetime) -> LoginStep | None:
    """Find it and take it out: of two requests at once, one gets it."""
    step = find(session, id_hash, kind, now)
    if step is None:
        return None
    session.expunge(step)
    taken = session.execute(sa.delete(LoginStep).where(_is(id_hash, kind)).returning(LoginStep.kind)).all()
    return step if taken else None


def failed(session: Session, step: LoginStep) -> bool:
    """Count a wrong code; whether the log-in may go on. After too many it is over."""
    counted = session.execute(
        sa.update(LoginStep)
        .where(_is(step.id_hash, StepKind(step.kind)))
        .values(failures=LoginStep.failures + 1)
        .returning(LoginStep.failures)
    ).scalar()
    if counted is not None and counted < MOST_FAILURES:
        return True
    session.execute(sa.delete(LoginStep).where(_is(step.id_hash, StepKind(step.kind))))
    return False


def end_all(session: Session, user_id: int) -> None:
    """End somebody's half-done log-ins: their password or second factor is another now."""
    session.execute(sa.delete(LoginStep).where(LoginStep.user_id == user_id))


def _is(id_hash: bytes, kind: StepKind) -> sa.ColumnElement[bool]:
    return sa.and_(LoginStep.id_hash == id_hash, LoginStep.kind == kind)


def _is_over(now: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.or_(
        *(sa.and_(LoginStep.kind == kind, LoginStep.created_at <= now - lasts) for kind, lasts in LASTS.items())
    )
