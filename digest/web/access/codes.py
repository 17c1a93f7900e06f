"""Second factors that are typed: codes of an authenticator app (RFC 6238) and recovery codes (W-04).

The app's secret has to be known to the process that checks a code, so it cannot be sealed to the sender like an
address. It is encrypted with a key that is derived from the keys file's `token`, and bound to its owner: a stolen
database alone makes no codes, a stolen web machine does (docs/privacy.md).
"""

from __future__ import annotations

import base64
import datetime as dt
import re
import secrets
from dataclasses import dataclass

import pyotp
import segno
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyotp.exceptions import OTPVerificationError
from sqlalchemy.orm import Session

from digest.models import Passkey, RecoveryCode, TotpSecret, User
from digest.web.access.steps import Factors, Proof
from digest.web.access.tokens import hash_id

SECONDS = 30
WINDOW = 1
"""Steps of time that a phone's clock may be wrong by, either way."""
SECRET_SIZE = 20
"""160 bits, as RFC 4226 §4 recommends."""
RECOVERY_CODES = 10
_NONCE = 12
_INFO = b"watchdog-digest second factors 1"


@dataclass(frozen=True)
class Enrolment:
    """What somebody needs to set their app up: the picture, and the same in letters."""

    picture: str
    """A data address of an SVG picture."""
    words: tuple[str, ...]
    """The secret in groups of four letters, to be typed where no camera is."""

    def __repr__(self) -> str:
        return "Enrolment(…)"


class SecretBox:
    """Seals the apps' secrets with a key derived from an installation's `token` key."""

    def __init__(self, token_key: bytes) -> None:
        self._cipher = AESGCMSIV(HKDF(SHA256(), 32, salt=None, info=_INFO).derive(token_key))

    def seal(self, secret: bytes, owner: bytes) -> bytes:
        """The secret for one owner (`public_id`)."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, owner)

    def open(self, sealed: bytes, owner: bytes) -> bytes | None:
        """The secret; none where the `token` key is another now, or the row was moved."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], owner)
        except (InvalidTag, ValueError):
            return None


def factors_of(session: Session, user_id: int) -> Factors:
    """What an account can be asked for beside its password."""

    def count(table: type[RecoveryCode | Passkey]) -> int:
        return session.scalar(sa.select(sa.func.count()).select_from(table).where(table.user_id == user_id)) or 0

    confirmed = sa.and_(TotpSecret.user_id == user_id, TotpSecret.confirmed_at.is_not(None))
    return Factors(
        codes=bool(session.scalar(sa.select(sa.exists().where(confirmed)))),
        passkeys=count(Passkey),
        recovery_codes=count(RecoveryCode),
    )


def begin_enrolment(session: Session, box: SecretBox, user_id: int, now: dt.datetime) -> None:
    """Make a secret that counts for nothing until a code of it is shown. One that counts already stays."""
    owner = session.get_one(User, user_id).public_id
    there = session.get(TotpSecret, user_id)
    if there is not None and there.confirmed_at is not None:
        return
    sealed = box.seal(secrets.token_bytes(SECRET_SIZE), owner)
    if there is None:
        session.add(TotpSecret(user_id=user_id, secret_sealed=sealed, created_at=now, last_step=0))
    else:
        there.secret_sealed, there.created_at = sealed, now


def enrolment(session: Session, box: SecretBox, user_id: int, title: str) -> Enrolment | None:
    """What is to be shown of a secret that is not confirmed yet; none where there is none."""
    found = session.get(TotpSecret, user_id)
    if found is None or found.confirmed_at is not None:
        return None
    user = session.get_one(User, user_id)
    secret = box.open(found.secret_sealed, user.public_id)
    if secret is None:
        return None
    letters = base64.b32encode(secret).decode()
    address = pyotp.TOTP(letters).provisioning_uri(name=user.name, issuer_name=title)
    # Black on white in either look: apps do not read it the other way round.
    picture = segno.make_qr(address, error="m").svg_data_uri(scale=4, border=3, dark="#000", light="#fff")
    return Enrolment(picture, tuple(letters[place : place + 4] for place in range(0, len(letters), 4)))


def confirm_enrolment(session: Session, box: SecretBox, user_id: int, typed: str, now: dt.datetime) -> bool:
    """Take the app's first code; from then on it counts. Whether the code was right."""
    found = session.get(TotpSecret, user_id)
    if found is None or found.confirmed_at is not None:
        return False
    step = _step_of(session, box, found, typed, now)
    if step is None:
        return False
    first = sa.and_(TotpSecret.user_id == user_id, TotpSecret.confirmed_at.is_(None))
    taken = sa.update(TotpSecret).where(first).values(confirmed_at=now, last_step=step).returning(TotpSecret.user_id)
    return bool(session.execute(taken).all())


def check_code(session: Session, box: SecretBox, user_id: int, typed: str, now: dt.datetime) -> Proof | None:
    """Take a code of the app or a recovery code, once; which it was, or none if it is wrong or was taken before."""
    if re.fullmatch(r"[0-9]{6}", "".join(typed.split())):
        return Proof.CODE if _take_code(session, box, user_id, typed, now) else None
    code = _plain(typed)
    gone = sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == hash_id(code))
    return Proof.RECOVERY if session.execute(gone.returning(RecoveryCode.user_id)).all() else None


def new_recovery_codes(session: Session, user_id: int) -> tuple[str, ...]:
    """Ten new codes, to be shown once; those before are worth nothing any more."""
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = tuple(_random_code() for _ in range(RECOVERY_CODES))
    session.add_all(RecoveryCode(user_id=user_id, code_hash=hash_id(_plain(code))) for code in codes)
    return codes


def remove_app(session: Session, user_id: int) -> None:
    """Forget the authenticator app; with the last factor the recovery codes go too."""
    session.execute(sa.delete(TotpSecret).where(TotpSecret.user_id == user_id))
    tidy(session, user_id)


def remove_factors(session: Session, user_id: int) -> None:
    """Forget every second factor of somebody: app, passkeys and recovery codes."""
    for table in (TotpSecret, Passkey, RecoveryCode):
        session.execute(sa.delete(table).where(table.user_id == user_id))


def tidy(session: Session, user_id: int) -> None:
    """Forget recovery codes that stand in for nothing."""
    if not factors_of(session, user_id).any:
        session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def _take_code(session: Session, box: SecretBox, user_id: int, typed: str, now: dt.datetime) -> bool:
    found = session.get(TotpSecret, user_id)
    step = _step_of(session, box, found, typed, now) if found and found.confirmed_at else None
    if step is None:
        return False
    newer = sa.and_(TotpSecret.user_id == user_id, TotpSecret.last_step < step)
    taken = sa.update(TotpSecret).where(newer).values(last_step=step).returning(TotpSecret.user_id)
    return bool(session.execute(taken).all())


def _step_of(session: Session, box: SecretBox, found: TotpSecret, typed: str, now: dt.datetime) -> int | None:
    """The step of time that a code belongs to; none if it is no code of the last, this or the next one."""
    secret = box.open(found.secret_sealed, session.get_one(User, found.user_id).public_id)
    if secret is None:
        return None
    try:
        return pyotp.TOTP(base64.b32encode(secret).decode(), interval=SECONDS).verify_and_get_timecode(
            "".join(typed.split()), for_time=now, valid_window=WINDOW
        )
    except OTPVerificationError:
        return None


def _random_code() -> str:
    """80 bits as four groups of four letters and digits that nobody confuses."""
    letters = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(letters[place : place + 4] for place in range(0, 16, 4))


def _plain(code: str) -> str:
    """A recovery code without what people put between its letters; 0 and 1 are read as what they are mistaken for."""
    return re.sub(r"[\s-]+", "", code).lower().translate(str.maketrans("01", "ol"))[:64]
