"""What it costs a sender that its readers' addresses are sealed."""

from __future__ import annotations

import time

import sqlalchemy as sa

from digest.wiring import House
from subscribers.models import Subscriber
from subscribers.vault import SUBSCRIBER_ADDRESS, Vault


def open_all(house: House) -> float:
    """Open every reader's address once, as a sender that has just started: with each data key fetched and opened.

    Returns seconds of CPU an address. The rows themselves a sender would read anyway; they are not counted.
    """
    vault = Vault(house.database, house.keys)
    with house.database.read() as session:
        rows = session.execute(sa.select(Subscriber.address_sealed, Subscriber.public_id)).all()
    begun = time.process_time()
    for sealed, person in rows:
        vault.open(sealed, SUBSCRIBER_ADDRESS, person)
    return (time.process_time() - begun) / len(rows)
