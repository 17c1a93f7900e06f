"""The readers are counted from the rows that are there, on both databases, and small groups are kept together."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from subscribers.db import Database
from subscribers.headcount import FEWEST, Choices, Moves, Standing, headcount, kept_apart, levels, moves
from subscribers.lifecycle import Format, State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.roll import audience

NOW = dt.datetime(2026, 11, 18, 18, tzinfo=dt.UTC)
WEEKS = [(NOW - dt.timedelta(weeks=back + 1), NOW - dt.timedelta(weeks=back)) for back in (2, 1, 0)]


def ago(**by: float) -> dt.datetime:
    return NOW - dt.timedelta(**by)


def add(database: Database, *, suppressed: str = "", newsletter: str = "watch", **more: Any) -> None:
    hashed = secrets.token_bytes(32)
    with database.write() as session:
        keys = {"public_id": secrets.token_bytes(16), "blind_index": secrets.token_bytes(32)}
        person = Subscriber(address_sealed=b"", suppression_hash=hashed, created_at=ago(weeks=9), **keys)
        session.add(person)
        session.flush()
        said = {"language": "en", "requested_at": ago(weeks=9), "method": "form", "evidence": "{}", **more}
        tie = {"public_id": secrets.token_bytes(16), "subscriber_id": person.id, "newsletter": newsletter}
        session.add(Subscription(**tie, **said))
        if suppressed:
            session.add(Suppression(address_hash=hashed, reason=suppressed, month="2026-11"))


def fill(database: Database) -> None:
    """Somebody of each kind."""
    reads = {"state": State.CONFIRMED}
    add(database, **reads, confirmed_at=ago(weeks=5), language="fa")
    add(database, **reads, confirmed_at=ago(days=9), format=Format.FULL, method="import")
    add(database, **reads, confirmed_at=ago(days=1), paused_until=ago(days=-3), is_neutral=True)
    add(database, **reads, confirmed_at=ago(days=8), paused_until=ago(days=3))
    add(database, **reads, confirmed_at=ago(days=8), suppressed="asked")
    add(database, **reads, confirmed_at=ago(days=8), suppressed="asked", paused_until=ago(days=-3))
    add(database, **reads, confirmed_at=ago(days=8), newsletter="another")
    add(database, state=State.PENDING)
    # Has left, and asks again.
    add(database, state=State.PENDING, confirmed_at=ago(weeks=4), left_at=ago(days=16))
    # Has left before the button was pressed.
    add(database, state=State.LEFT, left_at=ago(days=2))
    add(database, state=State.LEFT, confirmed_at=ago(weeks=4), left_at=ago(days=2))
    add(database, state=State.LEFT, confirmed_at=ago(days=20), left_at=ago(days=12), left_reason="bounce")
    add(database, state=State.LEFT, confirmed_at=ago(days=9), left_at=ago(days=8), left_reason="complaint")


def test_everybody_is_counted_once_and_who_reads_is_the_audience(database: Database):
    fill(database)
    with database.read() as session:
        found = headcount(session, "watch", NOW)
        moved = moves(session, "watch", WEEKS)
        of_the_next_issue = session.execute(audience("watch", NOW)).all()
        ties = session.scalar(sa.select(sa.func.count()).where(Subscription.newsletter == "watch"))
        assert headcount(session, "nothing", NOW).standing == Standing()
        assert moves(session, "nothing", []) == ()
    assert found.standing == Standing(3, 1, 2, 2, 2, 1, 1)
    assert found.standing.reading == len(of_the_next_issue)
    assert found.standing.confirmed + 2 + 2 + 1 + 1 == ties
    formats = {Format.SUMMARIES: 5, Format.FULL: 1}
    assert found.choices == Choices(formats, {"fa": 1, "en": 5}, 1)
    assert moved == (
        Moves(confirmed=1, left=1),
        Moves(confirmed=4, entered=1, bounced=1, complained=1),
        Moves(confirmed=1, left=1),
    )
    # Before these weeks there were three: two of them have left, and one reads.
    assert levels(found.standing.confirmed, moved) == (3, 6, 6)


def test_where_nothing_happened_the_level_stays():
    assert levels(7, [Moves(), Moves()]) == (7, 7)
    assert levels(0, []) == ()


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=6))
def test_no_small_group_can_be_seen_or_reckoned(counts: dict[str, int]):
    shown, others = kept_apart(counts.items())
    assert sum(count for _, count in shown) + others == sum(counts.values())
    assert all(count >= FEWEST for _, count in shown)
    # Whoever knows the total learns the others' sum: it is of enough people, or there is nothing beside it.
    assert not 0 < others < FEWEST or not shown
