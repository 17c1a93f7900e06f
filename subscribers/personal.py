"""All that is held on a person, as a file for that person (GDPR articles 15 and 20; O-56)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from subscribers.models import FreshLink, LetterMemory, Subscriber, Subscription, Suppression
from subscribers.newsletters import NewsletterInfo
from subscribers.records import Records
from subscribers.wordings import in_full, wordings

FORMAT = "watchdog-digest personal data 1"
NOTES = (
    "The address itself is stored encrypted and opened only to send mail to it, so it is not here.",
    "What became of single letters is kept for 35 days after the issue is over. Older ones are no longer known.",
    "Mail that came back to us is kept sealed for at most 14 days, and only what it meant is in this file.",
    "Scrambled counts of confirmation letters are kept for up to 30 days. Only the address leads to them.",
    "It is not recorded whether a letter was opened, which link was followed, or from where this site was visited.",
)


def personal_file(
    session: Session,
    records: Records,
    person: Subscriber,
    newsletters: Mapping[str, NewsletterInfo],
    now: dt.datetime,
) -> str:
    """The file: JSON, in names and instants (UTC) that a person can read. Changes nothing."""
    known = wordings(session)
    kept = records.held_on(session, person.id, person.created_at)
    data = {
        "format": FORMAT,
        "made_at": _instant(now),
        "notes": NOTES,
        "known_since": _instant(person.created_at),
        "address": "stored encrypted; see the notes",
        "subscriptions": [_subscription(one, newsletters, known) for one in _subscriptions(session, person)],
        "letters": [dict(one) for one in kept.letters],
        "returned_mail": [dict(one) for one in kept.bounces],
        "never_to_be_mailed": _suppression(session, person),
        "links_to_this_page": _links(session, person),
    }
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _subscriptions(session: Session, person: Subscriber) -> list[Subscription]:
    theirs = Subscription.subscriber_id == person.id
    return list(session.scalars(sa.select(Subscription).where(theirs).order_by(Subscription.id)))


def _subscription(
    one: Subscription, newsletters: Mapping[str, NewsletterInfo], known: dict[str, str]
) -> dict[str, object]:
    info = newsletters.get(one.newsletter)
    return {
        "newsletter": one.newsletter,
        "title": info.title if info else None,
        "state": one.state.value,
        "language": one.language,
        "asked_at": _instant(one.requested_at),
        "confirmed_at": _instant(one.confirmed_at),
        "left_at": _instant(one.left_at),
        "left_because": one.left_reason,
        "came_by": one.method,
        "evidence_of_consent": _evidence(in_full(one.evidence, known)),
        "format": one.format.value,
        "neutral_subject": one.is_neutral,
        "paused_until": _instant(one.paused_until),
    }


def _evidence(text: str) -> object:
    """What a form has written is an object; what a person has, a sentence."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _suppression(session: Session, person: Subscriber) -> dict[str, str] | None:
    found = session.get(Suppression, person.suppression_hash) if person.suppression_hash else None
    return {"reason": found.reason, "month": found.month} if found else None


def _links(session: Session, person: Subscriber) -> dict[str, list[str | None]]:
    until = sa.select(FreshLink.until).where(FreshLink.subscriber_id == person.id).order_by(FreshLink.until)
    asked = sa.select(LetterMemory.at).where(LetterMemory.rate_key == person.blind_index).order_by(LetterMemory.at)
    return {
        "asked_for_at": [_instant(one) for one in session.scalars(asked)],
        "good_until": [_instant(one) for one in session.scalars(until)],
    }


def _instant(at: dt.datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
