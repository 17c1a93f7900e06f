"""What a notice changes: the bounce is noted, the policy asked, and its verdict carried out, in one transaction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from digest.inbound import policy
from digest.inbound.notice import ByAddress, ByConfirmation, ByDelivery, ByPerson, BySubscription, Notice, Sign, Who
from digest.inbound.policy import Known, Tried, Verdict
from digest.mail import ledger
from digest.mail.providers import Provider, provider_of
from digest.models import Bounce, Delivery, DeliveryState, Issue
from subscribers.forms import Address, parse_address
from subscribers.lifecycle import Event
from subscribers.models import Subscriber, Subscription
from subscribers.roll import address_of, number_of
from subscribers.suppression import BOUNCE, COMPLAINT, end, lock_person, suppress, take_back
from subscribers.vault import CannotOpen, Vault, WrongKeys

NOBODY = "nobody"
LOOKED_BACK = 8
"""So many issues of a newsletter are looked at to see what has come back in a row."""
_BAD = (Sign.HARD.value, Sign.SOFT.value)
_TOLD = (DeliveryState.ACCEPTED, DeliveryState.REJECTED)


@dataclass(frozen=True)
class Found:
    """Whom a notice is about. Without a delivery nothing is known of an issue."""

    subscriber_id: int
    subscription_id: int | None = None
    newsletter: str = ""
    issue_id: int | None = None
    delivery_id: int | None = None


@dataclass
class Applier:
    """Carries notices out. It opens addresses, to see which domain a mailbox is of: the sender's process alone can."""

    vault: Vault
    _copies: dict[tuple[int, Provider], int] = field(default_factory=dict)
    """How many copies of an issue each provider got: counted once for many bounces, since a spike comes as a crowd."""

    def look_anew(self) -> None:
        """Forget what was counted: an issue that is on its way has more copies by now."""
        self._copies.clear()

    def apply(self, session: Session, notice: Notice, now: dt.datetime) -> str:
        """Do what follows from a notice; returns a word for what that was. Doing it twice changes nothing more.

        Raises `vault.CannotOpen`.
        """
        found = self._find(session, notice.who)
        if found is None:
            return NOBODY
        if notice.sign is Sign.LEAVE:
            return _leave(session, found, now)
        if _is_known(session, found, notice):
            return "known"
        return self.note(session, found, notice, now).value

    def note(self, session: Session, found: Found, notice: Notice, now: dt.datetime) -> Verdict:
        """Write a bounce or complaint down, and do what the policy says."""
        address = self._address(session, found.subscriber_id)
        bounce = Bounce(
            subscriber_id=found.subscriber_id,
            newsletter=found.newsletter,
            issue_id=found.issue_id,
            delivery_id=found.delivery_id,
            at=now,
            sign=notice.sign.value,
            status=notice.status[:12],
            reason=notice.reason[:32],
            domain_key=self._domain_key(address),
        )
        session.add(bounce)
        session.flush()
        verdict = policy.judge(notice.sign, self._known(session, bounce, address, now))
        bounce.verdict = verdict.value
        if verdict is Verdict.QUARANTINED:
            self._take_back(session, bounce)
        elif verdict is Verdict.SUPPRESSED:
            reason = COMPLAINT if notice.sign is Sign.COMPLAINT else BOUNCE
            suppress(session, self.vault, found.subscriber_id, reason, now)
        return verdict

    def _find(self, session: Session, who: Who) -> Found | None:
        if isinstance(who, ByDelivery):
            return _by_delivery(session, who.public_id)
        if isinstance(who, ByAddress):
            address = parse_address(who.address)
            if not isinstance(address, Address):
                return None
            person = number_of(session, self.vault, address)
            return _by_person(session, person) if person is not None else None
        if isinstance(who, ByPerson):
            is_them = Subscriber.known_by(who.blind_index, who.suppression_hash)
            person = session.scalar(sa.select(Subscriber.id).where(is_them))
            return Found(person) if person is not None else None
        query = sa.select(Subscription).where(_named_by(who))
        one = session.scalar(query)
        return Found(one.subscriber_id, one.id, one.newsletter) if one else None

    def _known(self, session: Session, bounce: Bounce, address: str, now: dt.datetime) -> Known:
        if bounce.sign == Sign.SOFT.value:
            return Known(tried=_tried(session, bounce))
        if bounce.sign == Sign.HARD.value:
            is_spike = self._is_spike(session, bounce, address, now)
            return Known(is_spike=is_spike, was_quarantined=_was_quarantined(session, bounce))
        return Known()

    def _is_spike(self, session: Session, bounce: Bounce, address: str, now: dt.datetime) -> bool:
        # A letter goes wherever a stranger types an address: what comes back of it says nothing of anybody else.
        if bounce.domain_key is None or bounce.issue_id is None:
            return False
        query = sa.select(sa.func.count(Bounce.subscriber_id.distinct())).where(
            Bounce.at > now - policy.SPIKE_SPAN,
            Bounce.sign == Sign.HARD.value,
            Bounce.domain_key == bounce.domain_key,
            Bounce.issue_id.is_not(None),
        )
        bounced = session.scalar(query) or 0
        return bounced >= policy.SPIKE and policy.is_spike(bounced, self._copies_of(session, bounce.issue_id, address))

    def _copies_of(self, session: Session, issue_id: int | None, address: str) -> int | None:
        """How many copies of an issue the provider of an address got; none where its domain has no class of its own."""
        provider = provider_of(address)
        if issue_id is None or provider is Provider.OTHER:
            return None
        if (issue_id, provider) not in self._copies:
            query = sa.select(sa.func.count()).where(*ledger.of_issue(issue_id), Delivery.provider == provider.value)
            self._copies[issue_id, provider] = session.scalar(query) or 0
        return self._copies[issue_id, provider]

    def _take_back(self, session: Session, bounce: Bounce) -> None:
        """The first of a crowd were taken for dead before the crowd was seen: they are quarantined like the others."""
        crowd = sa.select(Bounce).where(
            Bounce.at > bounce.at - policy.SPIKE_SPAN,
            Bounce.sign == Sign.HARD.value,
            Bounce.domain_key == bounce.domain_key,
            Bounce.issue_id.is_not(None),
            Bounce.verdict == Verdict.SUPPRESSED.value,
        )
        for one in session.scalars(crowd.order_by(Bounce.subscriber_id)):
            if one.subscriber_id is not None and not _was_quarantined(session, one):
                take_back(session, one.subscriber_id, one.at)
                one.verdict = Verdict.QUARANTINED.value

    def _address(self, session: Session, subscriber_id: int) -> str:
        """The address; empty where it is damaged, which is not the bounce's fault. Raises `vault.WrongKeys`."""
        try:
            return address_of(session, self.vault, subscriber_id) or ""
        except WrongKeys:
            raise
        except CannotOpen:
            return ""

    def _domain_key(self, address: str) -> bytes | None:
        if not address:
            return None
        # Keyed like a budget: no mailbox has an empty local part, so that it is nobody's.
        return self.vault.rate_key(f"@{address.rpartition('@')[2].lower()}")


def _by_delivery(session: Session, public_id: bytes) -> Found | None:
    one = session.scalar(sa.select(Delivery).where(Delivery.public_id == public_id))
    if one is None or one.subscriber_id is None:
        return None
    # An erased person's delivery stays as a count, and one from before somebody came is not about them.
    person = session.get(Subscriber, one.subscriber_id)
    if person is None or person.created_at > one.created_at:
        return None
    return Found(one.subscriber_id, one.subscription_id, one.newsletter, one.issue_id, one.id)


def _named_by(who: BySubscription | ByConfirmation) -> sa.ColumnElement[bool]:
    if isinstance(who, ByConfirmation):
        return Subscription.confirm_hash == who.token_hash
    return Subscription.public_id == who.public_id


def _by_person(session: Session, subscriber_id: int) -> Found:
    """A person without a copy that is named: what is said of their mailbox is said of the last issue they got."""
    newest = sa.select(Issue.id).where(Issue.frozen_at.is_not(None)).order_by(Issue.frozen_at.desc())
    query = sa.select(Delivery).join(Issue, Issue.id == Delivery.issue_id)
    mine = (Delivery.issue_id.in_(newest.limit(LOOKED_BACK)), Delivery.subscriber_id == subscriber_id, ledger.IS_ISSUE)
    last = session.scalars(query.where(*mine).order_by(Issue.frozen_at.desc()).limit(1)).first()
    if last is None:
        return Found(subscriber_id)
    # No subscription is named: whoever leaves by their address leaves all.
    return Found(subscriber_id, None, last.newsletter, last.issue_id, last.id)


def _is_known(session: Session, found: Found, notice: Notice) -> bool:
    """Whether the same was said before of the same copy: by the relay and by a report, or by a report sent twice."""
    if found.delivery_id is None:
        return False
    same = sa.select(Bounce.id).where(Bounce.delivery_id == found.delivery_id, Bounce.sign == notice.sign.value)
    return session.scalar(same.limit(1)) is not None


def _leave(session: Session, found: Found, now: dt.datetime) -> str:
    leave(session, found.subscriber_id, now, subscription_id=found.subscription_id)
    return "left"


def leave(
    session: Session,
    subscriber_id: int,
    now: dt.datetime,
    *,
    subscription_id: int | None = None,
    newsletter: str | None = None,
) -> None:
    """End one subscription of a person, that to one newsletter, or all of them."""
    theirs = Subscription.subscriber_id == subscriber_id
    lock_person(session, theirs)
    query = sa.select(Subscription).where(theirs).order_by(Subscription.id)
    if subscription_id is not None:
        query = query.where(Subscription.id == subscription_id)
    if newsletter is not None:
        query = query.where(Subscription.newsletter == newsletter)
    for subscription in session.scalars(query.with_for_update()):
        end(subscription, Event.LEFT, now)


def _tried(session: Session, bounce: Bounce) -> list[Tried]:
    """The newest issues of a newsletter that went to a person and had an answer, and whether they came back."""
    newest = sa.select(Issue.id).where(Issue.newsletter == bounce.newsletter, Issue.frozen_at.is_not(None))
    query = (
        sa.select(Delivery.id, Issue.frozen_at)
        .join(Issue, Issue.id == Delivery.issue_id)
        .where(
            # The issues are named, so that the key on (issue, subscriber) finds the few rows.
            Delivery.issue_id.in_(newest.order_by(Issue.frozen_at.desc()).limit(LOOKED_BACK)),
            Delivery.subscriber_id == bounce.subscriber_id,
            ledger.IS_ISSUE,
            sa.or_(Delivery.state.in_(_TOLD), Delivery.id == bounce.delivery_id),
        )
        .order_by(Issue.frozen_at.desc())
    )
    rows = session.execute(query).all()
    said = sa.select(Bounce.delivery_id, Bounce.reason).where(
        Bounce.delivery_id.in_([row.id for row in rows]), Bounce.sign.in_(_BAD)
    )
    reasons = {row.delivery_id: row.reason for row in session.execute(said.order_by(Bounce.id))}
    return [Tried(row.frozen_at, row.id in reasons, reasons.get(row.id, "")) for row in rows if row.frozen_at]


def _was_quarantined(session: Session, bounce: Bounce) -> bool:
    """Whether another copy of this person came back with a crowd not long ago: then this is the second time."""
    earlier = sa.select(Bounce.id).where(
        Bounce.subscriber_id == bounce.subscriber_id,
        Bounce.verdict == Verdict.QUARANTINED.value,
        Bounce.at > bounce.at - policy.QUARANTINE,
        Bounce.id != bounce.id,
        Bounce.at <= bounce.at - policy.SPIKE_SPAN,
    )
    return session.scalar(earlier.limit(1)) is not None
