"""The two steps that every message takes, to `committing` and to its outcome, compiled once for each database.

Building and compiling them costs ten times what running them does, and they are run in every group commit: so they are
written with SQLAlchemy, and the driver is given the text that comes of it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import sqlalchemy as sa

from digest.mail.leases import Claim
from digest.mail.ledger import AFTER_DOT, BEFORE_DOT, IS_ISSUE, IS_LETTER, UNWANTED
from digest.mail.providers import Provider
from digest.mail.replies import Outcome
from digest.models import Delivery, DeliveryState, Issue, IssueState, Lease
from subscribers.models import Subscription
from subscribers.roll import READS

_TABLE = cast("sa.Table", Delivery.__table__)


@dataclass(frozen=True)
class Result:
    """What became of one try of a delivery."""

    delivery_id: int
    outcome: Outcome
    retry_at: dt.datetime | None
    """When to try again, for a deferred one."""
    committed: bool
    """Whether the ledger had said GO for it."""
    provider: Provider | None = None
    """Whose mailbox it is, where its address could be opened."""
    rest_until: dt.datetime | None = None
    """Until when this provider is to be left alone, where it said so."""


def intend(connection: sa.Connection, delivery_ids: Sequence[int], claim: Claim, now: dt.datetime) -> set[int]:
    """Mark deliveries as about to be committed; returns those that may be.

    In one statement with the step, the database is asked once more whether the reader still wants it and may be mailed
    (promise 1), whether the issue is still being sent, and whether the lease is still ours.
    """
    if not delivery_ids:
        return set()
    step = _intending(connection.dialect)
    said = {
        "these": step.list_of(delivery_ids),
        "the_lease": claim.name,
        "the_owner": claim.owner,
        "the_time": step.time_of(now),
    }
    return {row[0] for row in connection.exec_driver_sql(step.text, step.in_order(said)).fetchall()}


def settle(connection: sa.Connection, results: Iterable[Result], now: dt.datetime) -> None:
    """Record outcomes. A step that is not legal from where the delivery stands changes nothing."""
    alike: dict[tuple[DeliveryState, bool], list[Result]] = {}
    for result in results:
        alike.setdefault((result.outcome.state, result.committed), []).append(result)
    for (state, committed), some in alike.items():
        step = _settling(connection.dialect, state, committed)
        at = step.time_of(now)
        connection.exec_driver_sql(step.text, [step.in_order(_row(one, step, at, now)) for one in some])


def _row(result: Result, step: _Step, at: Any, now: dt.datetime) -> dict[str, Any]:
    """What differs between outcomes of a kind."""
    state = result.outcome.state
    return {
        "which": result.delivery_id,
        "the_reply": result.outcome.reply,
        "the_provider": result.provider.value if result.provider else None,
        "the_scope": None if state is DeliveryState.ACCEPTED else result.outcome.scope.value,
        "the_time": step.time_of(result.retry_at or now) if state is DeliveryState.DEFERRED else at,
    }


@dataclass(frozen=True)
class _Step:
    """A statement as the driver takes it, and how its values are given."""

    text: str
    _order: tuple[str, ...] | None
    """The names of its values in order, where the driver wants them so."""
    time_of: Callable[[dt.datetime], Any]
    list_of: Callable[[Sequence[int]], Any]

    def in_order(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        return values if self._order is None else tuple(values[name] for name in self._order)


def _step(statement: sa.UpdateBase, dialect: sa.Dialect) -> _Step:
    compiled = cast("sa.Compiled", statement.compile(dialect=dialect))
    time_of = Delivery.settled_at.type.dialect_impl(dialect).bind_processor(dialect)
    order = getattr(compiled, "positiontup", None)
    return _Step(
        text=str(compiled),
        _order=tuple(order) if order else None,
        time_of=cast("Callable[[dt.datetime], Any]", time_of) if time_of else lambda at: at,
        list_of=json.dumps if dialect.name == "sqlite" else list,
    )


_steps: dict[tuple[object, ...], _Step] = {}


def _intending(dialect: sa.Dialect) -> _Step:
    found = _steps.get((dialect.name,))
    return found or _steps.setdefault((dialect.name,), _step(_intend(dialect.name), dialect))


def _settling(dialect: sa.Dialect, state: DeliveryState, committed: bool) -> _Step:
    key = (dialect.name, state, committed)
    found = _steps.get(key)
    return found or _steps.setdefault(key, _step(_settle(state, committed=committed), dialect))


def _intend(dialect: str) -> sa.UpdateBase:
    these = sa.bindparam("these", type_=sa.Text() if dialect == "sqlite" else sa.ARRAY(sa.Integer))
    # Neither driver takes a list of any length as one value in the same way.
    numbers = sa.func.json_each(these).table_valued("value")
    among = Delivery.id.in_(sa.select(numbers.c.value)) if dialect == "sqlite" else Delivery.id == sa.any_(these)
    still_reads = sa.exists().where(Subscription.id == Delivery.subscription_id, *READS)
    still_sending = sa.exists().where(Issue.id == Delivery.issue_id, Issue.state == _is(IssueState.SENDING))
    still_ours = sa.exists().where(
        Lease.name == sa.bindparam("the_lease"),
        Lease.owner == sa.bindparam("the_owner"),
        Lease.until > sa.bindparam("the_time", type_=Lease.until.type),
    )
    return (
        sa.update(_TABLE)
        .where(
            among,
            _stands_in(BEFORE_DOT[DeliveryState.COMMITTING]),
            sa.or_(sa.and_(IS_LETTER, ~UNWANTED), sa.and_(IS_ISSUE, still_reads, still_sending)),
            still_ours,
        )
        .values(state=_is(DeliveryState.COMMITTING))
        .returning(_TABLE.c.id)
    )


def _settle(state: DeliveryState, *, committed: bool) -> sa.UpdateBase:
    before = (AFTER_DOT if committed else BEFORE_DOT)[state]
    values: dict[str, Any] = {
        "state": _is(state),
        "reply": sa.bindparam("the_reply"),
        "provider": sa.bindparam("the_provider"),
        "scope": sa.bindparam("the_scope"),
        "attempts": _TABLE.c.attempts + sa.literal_column("1"),
        "due_at" if state is DeliveryState.DEFERRED else "settled_at": sa.bindparam("the_time", type_=Lease.until.type),
    }
    if state is DeliveryState.DEFERRED:
        values["settled_at"] = sa.null()
    elif state is not DeliveryState.UNKNOWN:
        # What the letter said (a link with a token) has done its work, unless it may have to be said again.
        values["context_sealed"] = sa.null()
    return sa.update(_TABLE).where(_TABLE.c.id == sa.bindparam("which"), _stands_in(before)).values(values)


def _stands_in(states: Iterable[DeliveryState]) -> sa.ColumnElement[bool]:
    return sa.or_(*(_TABLE.c.state == _is(state) for state in states))


@cache
def _is(state: DeliveryState | IssueState) -> sa.ColumnClause[Any]:
    """A state as it is written in the database, in the text of the statement and not as one of its values."""
    return sa.literal_column(f"'{state.name}'")
