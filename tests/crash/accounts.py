"""Two-sided accounts (Q-02): what the books say of each reader, against what the relay answered to their dots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from digest.models import Delivery, DeliveryState, IssueState
from subscribers.models import Subscriber
from subscribers.vault import SUBSCRIBER_ADDRESS
from tests.crash.stage import Scene
from tests.smtp_server import ScriptedServer

FINAL = (DeliveryState.ACCEPTED, DeliveryState.REJECTED, DeliveryState.EXCLUDED, DeliveryState.UNKNOWN)


def books(scene: Scene) -> dict[str, DeliveryState]:
    """Every reader of the issue's audience, and where their copy stands."""
    vault = scene.house.vault
    query = sa.select(Subscriber.address_sealed, Subscriber.public_id, Delivery.state).join(
        Delivery, Delivery.subscriber_id == Subscriber.id
    )
    with scene.database.read() as session:
        rows = session.execute(query.where(Delivery.issue_id == scene.issue_id)).all()
    opened = [(vault.open(sealed, SUBSCRIBER_ADDRESS, person), state) for sealed, person, state in rows]
    assert len(opened) == len({address for address, _ in opened}), "a reader has two deliveries"
    return dict(opened)


@dataclass(frozen=True)
class Audit:
    """What was found; a sound run has an empty `wrong`."""

    readers: int
    skipped: int
    doubled: int
    unknown: int
    closed: bool
    wrong: tuple[str, ...]


def audit(scene: Scene, relay: ScriptedServer, readers: Collection[str], doubtful: Collection[str]) -> Audit:
    """Compare both sides when an issue is done. `doubtful`: who may be unknown, since a crash or the relay left it so.

    An address in what is wrong is a made-up one.
    """
    states = books(scene)
    accepted = Counter(relay.accepted)
    skipped = sorted(_skipped(states, accepted, readers))
    doubled = sorted(_doubled(relay))
    unknown = {reader for reader, state in states.items() if state is DeliveryState.UNKNOWN}
    wrong = [f"{reader} was skipped" for reader in skipped] + [f"{reader} may have two" for reader in doubled]
    wrong += [f"{reader} is unknown without a reason" for reader in sorted(unknown - {*doubtful})]
    wrong += [
        f"{reader} is {state} and got {accepted[reader]}"
        for reader, state in states.items()
        if state not in (DeliveryState.UNKNOWN, DeliveryState.ACCEPTED) and accepted[reader]
    ]
    equation, stands = scene.house.books(scene.issue_id), scene.house.issue_state(scene.issue_id)
    closed = equation.closes and equation.audience == len(readers) and stands is IssueState.SENT
    if not closed:
        wrong.append(f"the books do not close: {equation}, {stands}")
    return Audit(len(readers), len(skipped), len(doubled), len(unknown), closed, tuple(wrong))


def _skipped(states: dict[str, DeliveryState], accepted: Counter[str], readers: Collection[str]) -> Iterator[str]:
    """Whoever got nothing, and is not named as rejected, excluded or unknown."""
    for reader in readers:
        state = states.get(reader)
        if state not in FINAL or (state is DeliveryState.ACCEPTED and not accepted[reader]):
            yield reader


def _doubled(relay: ScriptedServer) -> Iterator[str]:
    """Whoever may have got more than one: a dot that was not refused may have been taken, answered or not."""
    taken = Counter(reader for caught in relay.caught if not caught.refused for reader in caught.recipients)
    return (reader for reader, count in taken.items() if count > 1)
