"""While the index key changes nobody is found twice, made twice, or lost; hashes that are wrong are mended."""

from __future__ import annotations

from itertools import count

import pytest
import sqlalchemy as sa

from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.rotation import (
    begin,
    standing,
)
from subscribers.sealed import mend, without_hash
from subscribers.service import Entered, Outcome
from subscribers.vault import (
    SUBSCRIBER_ADDRESS,
    Vault,
    WrongKeys,
)
from tests.subscribers.house import WATCH
from tests.subscribers.installation import NOW, Installation, people


def test_processes_with_the_old_and_the_new_keys_find_and_make_nobody_twice(house: Installation) -> None:
    old = house.process()
    for address in people(3):
        old.enter(address)
    begin(house.database, house.path, house.clocks.now)
    new, sender = house.process(), house.process()
    for stage in count():
        for address in people(3):
            assert old.enter(address).already
            assert new.enter(address).already
        old.enter(f"by-old-{stage}@example.org")
        assert new.enter(f"By-Old-{stage}@Example.org").already
        new.enter(f"by-new-{stage}@example.org")
        assert old.enter(f"by-new-{stage}@example.org").already
        # The sender opens what either has sealed, at every moment.
        assert len(house.addresses(sender.vault)) == 5 + 2 * stage
        if stage == 2:
            break
        house.reseal()
    assert standing(house.database, house.keys).others == 1
    # The old one goes only now, so its last look was a while ago, and it would find its data key gone.
    house.finish()
    assert len(house.addresses()) == 9
    assert house.findings() == []
    with pytest.raises(WrongKeys, match="rotated away"):
        old.enter("late@example.org")
    assert new.enter("late@example.org").already is False


def test_the_database_itself_refuses_one_person_twice_while_two_index_keys_are_used(house: Installation) -> None:
    house.process().enter("mina@example.org")
    begin(house.database, house.path, house.clocks.now)
    vault = Vault(house.database, house.keys)
    row = b"r" * 16
    twice = Subscriber(
        public_id=row,
        address_sealed=vault.seal("mina@example.org", SUBSCRIBER_ADDRESS, row),
        blind_index=vault.blind_index("mina@example.org"),
        suppression_hash=vault.suppression_hash("mina@example.org"),
        created_at=NOW,
    )
    with pytest.raises(sa.exc.IntegrityError), house.database.write() as session:
        session.add(twice)


def test_a_link_of_before_works_after(house: Installation) -> None:
    """F-24: whoever finds a letter of years ago can still leave, and can still say never."""
    process = house.process()
    process.service.join(WATCH.slug, "mina@example.org", NOW)
    (confirm,), (never,) = process.outbox.tokens("confirm_url"), process.outbox.tokens("never_url")
    assert process.service.confirm(confirm, NOW) is Outcome.DONE
    for _ in range(2):
        house.rotate()
    after = house.process()
    assert after.service.is_confirmed(confirm, NOW)
    assert after.service.never(never, NOW) is Outcome.DONE
    with house.database.read() as session:
        assert session.scalars(sa.select(Subscription.state)).all() == [State.LEFT]
        assert len(session.scalars(sa.select(Suppression)).all()) == 1
    assert not isinstance(after.service.enter(WATCH.slug, "mina@example.org", "Signed.", NOW), Entered)


def test_rows_older_than_the_suppression_hash_get_theirs_before_the_index_key_changes(house: Installation) -> None:
    for address in people(3):
        house.process().enter(address)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).where(Subscriber.id != 2).values(suppression_hash=None))
    assert [text.partition(":")[0] for text in house.findings()] == ["subscribers row 1", "subscribers row 3"]
    begin(house.database, house.path, house.clocks.now)
    assert without_hash(house.database) == []
    new = house.process()
    assert all(new.enter(address).already for address in people(3))


def test_wrong_hashes_are_found_and_mended(house: Installation) -> None:
    for address in people(2):
        house.process().enter(address)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).where(Subscriber.id == 2).values(blind_index=b"x" * 32))
    assert "row 2: its blind index" in house.findings()[0]
    assert mend(house.database, Vault(house.database, house.keys), [2]) == []
    assert house.findings() == []
    house.process().enter(people(2)[1])
    assert len(house.addresses()) == 2


def test_one_person_in_two_rows_is_said_and_the_others_are_mended(house: Installation) -> None:
    process = house.process()
    for address in people(3):
        process.enter(address)
    row = b"r" * 16
    twice = process.vault.seal(people(3)[0], SUBSCRIBER_ADDRESS, row)
    with house.database.write() as session:
        session.execute(sa.update(Subscriber).values(suppression_hash=None))
        session.add(Subscriber(public_id=row, address_sealed=twice, blind_index=b"b" * 32, created_at=NOW))
    left = mend(house.database, Vault(house.database, house.keys), without_hash(house.database))
    assert [str(one) for one in left] == ["subscribers row 4: another row is the same person's; erase one of the two."]
    assert without_hash(house.database) == [4]
