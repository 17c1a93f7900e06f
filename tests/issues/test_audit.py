"""The log as a chain: whatever is done to an entry shows, and nobody who writes waits for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.issues import audit, log
from digest.issues.audit import Asked, Broken, Sound
from digest.models import LogEntry
from subscribers.db import Database
from tests.issues.newsroom import HOUR, THURSDAY

SECRET = b"s" * 32


def write(database: Database, count: int, about: str = "watchdog/2026-W47") -> None:
    with database.write() as session:
        for number in range(count):
            log.append(
                session, at=THURSDAY + number * HOUR, who="ada", action="edit", about=about, detail=f"edit {number}"
            )


def verified(database: Database, noted: str = "", secret: bytes = SECRET) -> Sound | Broken:
    with database.read() as session:
        return audit.verify(session, secret, noted)


def test_what_was_written_holds(database: Database) -> None:
    assert verified(database) == Sound(0, None, 0)
    write(database, 5)
    assert verified(database) == Sound(0, None, 5)
    assert audit.link(database, SECRET) == 5
    assert audit.link(database, SECRET) == 0
    write(database, 2)
    found = verified(database)
    assert isinstance(found, Sound)
    assert (found.entries, found.unlinked) == (5, 2)
    audit.link(database, SECRET)
    assert isinstance(verified(database, str(found.head)), Sound)


def test_a_long_log_is_linked_in_handfuls(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST", 3)
    write(database, 10)
    assert audit.link(database, SECRET) == 10
    assert isinstance(verified(database), Sound)


def alter(which: int, **values: object) -> Callable[[Session], object]:
    return lambda session: session.execute(sa.update(LogEntry).where(LogEntry.number == which).values(**values))


FORGERIES: dict[str, tuple[Callable[[Session], object], int]] = {
    "another name": (alter(3, who="ben"), 3),
    "another hour": (alter(3, at=THURSDAY), 3),
    "another deed": (alter(3, action="approve"), 3),
    "another issue": (alter(3, object="watchdog/2026-W46"), 3),
    "other words": (alter(3, detail="nothing"), 3),
    "gone": (lambda session: session.execute(sa.delete(LogEntry).where(LogEntry.number == 3)), 3),
    "another link": (alter(3, link=bytes(32)), 3),
    "unlinked and written anew": (alter(3, number=None, detail="nothing"), 3),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_change_shows(database: Database, name: str) -> None:
    write(database, 6)
    audit.link(database, SECRET)
    forge, where = FORGERIES[name]
    with database.write() as session:
        forge(session)
    audit.link(database, SECRET)
    found = verified(database)
    assert isinstance(found, Broken)
    assert found.number == where


def test_a_chain_made_without_the_key_does_not_hold(database: Database) -> None:
    write(database, 3)
    audit.link(database, b"o" * 32)
    assert verified(database) == Broken(1, "it is not what was written, or an entry before it was changed")


def test_an_end_that_was_cut_off_shows_by_what_was_noted_down(database: Database) -> None:
    write(database, 6)
    audit.link(database, SECRET)
    sound = verified(database)
    assert isinstance(sound, Sound)
    with database.write() as session:
        session.execute(sa.delete(LogEntry).where(LogEntry.number >= 5))
    assert isinstance(verified(database), Sound), "nothing in what is left says so"
    assert verified(database, str(sound.head)) == Broken(5, "the log ends here, and a link of entry 6 was noted down")
    write(database, 2)
    audit.link(database, SECRET)
    assert verified(database, str(sound.head)) == Broken(6, "its link is not the one that was noted down")


@pytest.mark.parametrize("noted", ["x", "6", "6:", "6:zz", "6:12", ":1234567890abcdef", "six:1234567890abcdef"])
def test_what_is_no_end_of_a_chain_is_said(database: Database, noted: str) -> None:
    with pytest.raises(ValueError, match="is no link of the log"):
        verified(database, noted)


def test_several_link_at_once_and_writers_do_not_wait(database: Database) -> None:
    write(database, 40)

    def work(number: int) -> int:
        write(database, 5, f"watchdog/2026-W{number + 10}")
        return audit.link(database, SECRET)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    audit.link(database, SECRET)
    found = verified(database)
    assert isinstance(found, Sound)
    assert (found.entries, found.unlinked) == (60, 0)


def test_the_log_is_asked_and_paged(database: Database) -> None:
    write(database, 3)
    write(database, 2, "watchdog/2026-W4%")
    with database.read() as session:
        newest = audit.page(session, Asked(), 2)
        assert [one.detail for one in newest] == ["edit 1", "edit 0"]
        older = audit.page(session, Asked(before=newest[-1].id), 10)
        assert [one.detail for one in older] == ["edit 2", "edit 1", "edit 0"]
        assert len(audit.page(session, Asked(about="watchdog/2026-W4%"), 10)) == 2
        assert len(audit.page(session, Asked(about="watchdog/2026"), 10)) == 5
        assert not audit.page(session, Asked(who="ben"), 10)
        assert not audit.page(session, Asked(action="approve"), 10)
