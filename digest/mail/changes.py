"""How a conditional update is run: what the ledger and the leases stand on."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session


def changed(session: Session, statement: sa.Update) -> int:
    """Run an update; returns how many rows it changed."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("sa.CursorResult[Any]", result).rowcount
