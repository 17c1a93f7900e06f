"""The promises of DESIGN 6, said of what stands in the database beside what a model says of the same people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from digest.models import Delivery, DeliveryState
from subscribers.forms import Address, budget_form, parse_address
from subscribers.lifecycle import State
from subscribers.models import Subscriber, Subscription, Suppression
from subscribers.roll import audience
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault
from tests.promises.model import FINAL, Asked, Person, Stand
from tests.promises.world import PAPERS, World

DAY = dt.timedelta(days=1)
STATES = {Stand.NOTHING: None, Stand.WAITS: State.PENDING, Stand.READS: State.CONFIRMED, Stand.LEFT: State.LEFT}
People = Mapping[str, Person]


@dataclass(frozen=True)
class Seen:
    """What stands in the database at one moment."""

    now: dt.datetime
    people: Mapping[int, Subscriber]
    addresses: Mapping[int, str]
    """Opened, by the person's number."""
    subscriptions: Sequence[Subscription]
    suppressions: Mapping[bytes, Suppression]
    rolls: Mapping[str, Sequence[sa.Row[int, int, object, bool]]]
    copies: Sequence[Delivery]
    """Of the newest issue."""
    let_go: set[int]
    """Which of them would leave this moment."""


def look(world: World, issue: int | None) -> Seen:
    """Look at everything once."""
    let_go = world.intended(issue) if issue is not None else set[int]()
    with world.database.read() as session:
        people = {one.id: one for one in session.scalars(sa.select(Subscriber))}
        suppressions = {one.address_hash: one for one in session.scalars(sa.select(Suppression))}
        return Seen(
            now=world.now,
            people=people,
            addresses={number: opened(world.vault, one) for number, one in people.items()},
            subscriptions=session.scalars(sa.select(Subscription)).all(),
            suppressions=suppressions,
            rolls={slug: session.execute(audience(slug, world.now)).all() for slug in PAPERS},
            copies=session.scalars(sa.select(Delivery).where(Delivery.issue_id == (issue or 0))).all(),
            let_go=let_go,
        )


def opened(vault: Vault, person: Subscriber) -> str:
    return vault.open(person.address_sealed, SUBSCRIBER_ADDRESS, person.public_id)


def the_roll_is_of_those_who_read(seen: Seen, people: People) -> None:
    for newsletter, rows in seen.rolls.items():
        found = {(seen.addresses[row[1]], row[2], row[3]) for row in rows}
        assert len(found) == len(rows)
        ties = [(one, one.ties[newsletter]) for one in people.values()]
        reads = [(one.address, tie.wish) for one, tie in ties if tie.reads and not tie.wish.pauses(seen.now)]
        assert found == {(address, wish.format, wish.is_neutral) for address, wish in reads}


def before_the_dot_the_same_are_let_go(seen: Seen, people: People) -> None:
    """A pause passes by what is frozen later; whoever reads no more gets nothing of what is frozen already."""
    assert {one.state for one in seen.copies} <= {DeliveryState.QUEUED}
    there = {one.id for one in seen.subscriptions}
    reads = {one.address for one in people.values() if one.ties["watchdog"].reads}
    assert seen.let_go == {
        one.id
        for one in seen.copies
        if one.subscription_id in there and seen.addresses.get(one.subscriber_id or 0) in reads
    }


def who_must_never_be_mailed_reads_nothing(seen: Seen, people: People, vault: Vault) -> None:
    rows = dict(seen.suppressions)
    for person in people.values():
        found = rows.pop(vault.suppression_hash(identity(person.address)), None)
        assert (found and found.reason) == person.reason
        assert bool(found and found.mailbox_hash) is person.is_mailbox_suppressed
        assert not (person.reason and any(tie.reads for tie in person.ties.values()))
        assert not person.is_mailbox_suppressed or person.reason in FINAL
    # Nobody's hash is kept of whom nothing was said: of those who were erased with all, nothing is left.
    assert rows == {}


def every_address_opens_and_is_its_row_s(seen: Seen, people: People, indexes: Sequence[Vault]) -> None:
    """`indexes`: with the keys that a blind index may be by, two while they are rotated."""
    assert len(set(seen.addresses.values())) == len(seen.addresses)
    assert set(seen.addresses.values()) <= set(people)
    for number, person in seen.people.items():
        name = identity(seen.addresses[number])
        assert person.suppression_hash == indexes[0].suppression_hash(name)
        assert person.blind_index in {vault.blind_index(name) for vault in indexes}


def one_subscription_is_there_for_a_person_and_a_newsletter(seen: Seen, people: People) -> None:
    rows = {(seen.addresses[one.subscriber_id], one.newsletter): one for one in seen.subscriptions}
    assert len(rows) == len(seen.subscriptions)
    for person in people.values():
        for newsletter, tie in person.ties.items():
            found = rows.pop((person.address, newsletter), None)
            assert (found and found.state) == STATES[tie.stand]
            assert not (found and found.state is State.LEFT and (found.paused_until or found.confirm_hash))
    assert rows == {}


def no_mailbox_gets_more_letters_than_the_budgets_allow(
    people: People, asked: Sequence[Asked], told: Sequence[tuple[str, dt.datetime]]
) -> None:
    for name in {one.mailbox for one in people.values()}:
        confirmations = [one.at for one in asked if people[one.address].mailbox == name]
        others = [at for mailbox, at in told if mailbox == name]
        for times, most, span in ((confirmations, 1, DAY), (confirmations, 3, 30 * DAY), (others, 1, 30 * DAY)):
            assert all(later - first >= span for first, later in zip(times, times[most:], strict=False))


def identity(address: str) -> str:
    """What an address is known by."""
    parsed = parse_address(address)
    assert isinstance(parsed, Address)
    return parsed.identity


def mailbox_of(address: str) -> str:
    """The mailbox in whatever spelling."""
    return budget_form(identity(address))
