"""Passkeys (WebAuthn): made, used as a whole log-in, removed (W-04).

The device is always asked to make sure of its owner (finger, face or PIN): the library's default is not to. Challenges
are rows that are taken out when they are used; origin and RP id come from the settings and never from a request.
"""

from __future__ import annotations

import datetime as dt
import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from digest.issues.text import one_line
from digest.models import Passkey, User

MOST = 20
"""Passkeys of one person."""
LONGEST_NAME = 64
# What a broken or hostile answer makes the library raise: it checks much, and the decoders below it the rest.
_BAD = (WebAuthnException, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Site:
    """Where the passkeys belong to."""

    rp_id: str
    origin: str
    title: str


def site_of(base_url: str, title: str) -> Site | None:
    """The site behind a base address; none where browsers make no passkeys: without TLS, or without a name."""
    parts = urlsplit(base_url)
    name = (parts.hostname or "").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return None
    if parts.scheme != "https" and name != "localhost":
        return None
    return Site(name, f"{parts.scheme}://{parts.netloc}".lower(), title)


def registration(session: Session, site: Site, user_id: int, challenge: bytes) -> str:
    """What the browser is to be asked for, as JSON: a passkey that knows by itself whose it is."""
    user = session.get_one(User, user_id)
    mine = session.scalars(sa.select(Passkey.credential_id).where(Passkey.user_id == user_id))
    options = generate_registration_options(
        rp_id=site.rp_id,
        rp_name=site.title,
        user_id=user.public_id,
        user_name=user.name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in mine],
    )
    return options_to_json(options)


def register(
    session: Session, site: Site, user_id: int, answer: str, challenge: bytes, name: str, now: dt.datetime
) -> str | None:
    """Keep a new passkey; none if all is well, else a sentence that says why it was not kept."""
    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _BAD:
        return "That is no passkey that we can use. Nothing was changed; please try once more."
    if (session.scalar(sa.select(sa.func.count()).where(Passkey.user_id == user_id)) or 0) >= MOST:
        return f"You have {MOST} passkeys already. Remove one that you no longer need."
    if session.scalar(sa.select(sa.exists().where(Passkey.credential_id == made.credential_id))):
        return "This passkey is known already."
    session.add(
        Passkey(
            user_id=user_id,
            credential_id=made.credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=one_line(name)[:LONGEST_NAME] or "Passkey",
            created_at=now,
        )
    )
    return None


def authentication(site: Site, challenge: bytes) -> str:
    """What the browser is to be asked for, as JSON: any passkey of this site. It names nobody."""
    options = generate_authentication_options(
        rp_id=site.rp_id, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return options_to_json(options)


def authenticate(session: Session, site: Site, answer: str, challenge: bytes, now: dt.datetime) -> int | None:
    """Whose passkey has signed the challenge; none if it is not known, not right, or its owner may not come in."""
    try:
        credential = parse_authentication_credential_json(answer)
    except _BAD:
        return None
    query = sa.select(Passkey, User).join(User, User.id == Passkey.user_id)
    found = session.execute(
        query.where(Passkey.credential_id == credential.raw_id, User.disabled_at.is_(None))
    ).one_or_none()
    if found is None:
        return None
    passkey, user = found
    handle = credential.response.user_handle
    if handle is not None and not hmac.compare_digest(handle, user.public_id):
        return None
    try:
        shown = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except _BAD:
        return None
    # Asked again in the statement that writes it: of two requests with one count, one gets in.
    unmoved = sa.and_(Passkey.id == passkey.id, Passkey.sign_count == passkey.sign_count)
    counted = sa.update(Passkey).where(unmoved).values(sign_count=shown.new_sign_count, used_at=now)
    return user.id if session.execute(counted.returning(Passkey.id)).all() else None


def passkeys_of(session: Session, user_id: int) -> list[Passkey]:
    """Somebody's passkeys, the oldest first."""
    return list(session.scalars(sa.select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)))


def remove(session: Session, user_id: int, passkey_id: int) -> str | None:
    """Remove one of somebody's own passkeys; its name, or none if they have no such one."""
    mine = sa.and_(Passkey.id == passkey_id, Passkey.user_id == user_id)
    return session.scalar(sa.delete(Passkey).where(mine).returning(Passkey.name))
