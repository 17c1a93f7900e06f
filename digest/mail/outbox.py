"""Where letters are left to be sent: rows of the ledger, written in the caller's own transaction."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Mapping

from sqlalchemy.orm import Session

from digest.mail.render import Rendered
from digest.models import Delivery, DeliveryState
from subscribers.db import insert_new
from subscribers.letters import Letter
from subscribers.vault import DELIVERY_CONTEXT, Vault
from subscribers.wake import wake

TEST = "test"
"""An issue as it stands, for one editor's eyes (W-43)."""
GIVE_UP_AFTER = dt.timedelta(hours=24)


class LedgerOutbox:
    """The mail side's `subscribers.letters.Outbox`. What a letter says is sealed like an address.

    Call `vault.prepare()` before the transaction that posts.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def post(self, session: Session, letter: Letter, now: dt.datetime) -> None:
        """Leave a letter to a subscriber; it goes out if and only if the caller's transaction is committed."""
        row = self._row(letter.kind, letter.newsletter, letter.context, now, letter.give_up_after)
        row.subscriber_id = letter.subscriber_id
        row.subscription_id = letter.subscription_id
        insert_new(session, [row])

    def post_to_user(
        self,
        session: Session,
        *,
        kind: str,
        newsletter: str,
        user_id: int,
        context: Mapping[str, object],
        now: dt.datetime,
    ) -> None:
        """Leave a letter to somebody of the newsroom."""
        row = self._row(kind, newsletter, context, now, GIVE_UP_AFTER)
        row.user_id = user_id
        session.add(row)
        wake(session)

    def post_rendered(
        self,
        session: Session,
        *,
        kind: str,
        newsletter: str,
        issue_id: int | None,
        user_id: int,
        rendered: Rendered,
        now: dt.datetime,
    ) -> None:
        """Leave an issue as it stands now to an editor (a test-send)."""
        said = {"subject": rendered.subject, "text": rendered.text, "html": rendered.html}
        row = self._row(kind, newsletter, said, now, GIVE_UP_AFTER)
        row.user_id = user_id
        row.issue_id = issue_id
        session.add(row)
        wake(session)

    def _row(
        self, kind: str, newsletter: str, context: Mapping[str, object], now: dt.datetime, give_up_after: dt.timedelta
    ) -> Delivery:
        public_id = secrets.token_bytes(16)
        return Delivery(
            letter=kind,
            newsletter=newsletter,
            public_id=public_id,
            context_sealed=self._vault.seal(json.dumps(dict(context)), DELIVERY_CONTEXT, public_id),
            state=DeliveryState.QUEUED,
            due_at=now,
            created_at=now,
            give_up_at=now + give_up_after,
        )
