"""How the newsroom's people get in: log-ins that are half done, one-time links, second factors, passkeys."""

from __future__ import annotations

import datetime as dt
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from subscribers.db import Base, UTCDateTime


class StepKind(enum.StrEnum):
    """What a half-done log-in waits for."""

    SECOND = "second"
    """The password was right; the account's second factor is missing."""
    ENROL = "enrol"
    """The password was right; the role needs a second factor, and the account has none yet."""
    PASSKEY = "passkey"
    """A passkey was asked to sign a challenge, and nobody is known yet."""
    REGISTER = "register"
    """A new passkey was asked for, by somebody who is logged in or was invited."""
    PROVIDER = "provider"
    """The browser was sent to the newsroom's identity provider."""


class LoginStep(Base):
    """A log-in that is half done: it opens nothing, and only one browser has the id whose hash this is."""

    __tablename__ = "login_steps"

    id_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    secret: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    """The challenge that is to be signed, or what the provider has to say again."""
    wanted: Mapped[str] = mapped_column(sa.Text, default="")
    """The page of the desk that the log-in is to lead to."""
    failures: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)


class DeskLink(Base):
    """A link that works once: the address holds the token, this row its SHA-256."""

    __tablename__ = "desk_links"

    token_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    """Whose it is; none for the link that makes the first account."""
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    is_mailed: Mapped[bool] = mapped_column(default=False)
    """Whether it went to the account's address, so that whoever has it reads mail there."""


class TotpSecret(Base):
    """What an authenticator app shares with us (RFC 6238), sealed; it counts once a code of it was shown."""

    __tablename__ = "totp_secrets"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret_sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    confirmed_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    last_step: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """The newest step of time whose code was taken; neither it nor an older one is taken again (RFC 6238 §5.2)."""


class RecoveryCode(Base):
    """A code for a day without the phone: 80 random bits, of which only the SHA-256 is kept; gone once used."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32), primary_key=True)


class Passkey(Base):
    """A passkey (WebAuthn): a public key whose private half is on somebody's device."""

    __tablename__ = "passkeys"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[bytes] = mapped_column(sa.LargeBinary(1023), unique=True)
    public_key: Mapped[bytes] = mapped_column(sa.LargeBinary)
    sign_count: Mapped[int] = mapped_column(sa.BigInteger)
    name: Mapped[str] = mapped_column(sa.String(64))
    """What its owner calls it."""
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)


class ProviderTie(Base):
    """Which person of the identity provider somebody is: by issuer and subject, never by an address (W-05)."""

    __tablename__ = "provider_ties"

    issuer: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[dt.datetime] = mapped_column(UTCDateTime)
