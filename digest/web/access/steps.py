"""What a log-in has still to show, as one rule, so that no page and no parameter can skip a step (W-04). Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from digest.web.accounts import Role


class Proof(enum.StrEnum):
    """What somebody has shown of themselves."""

    PASSWORD = "password"  # noqa: S105 -- a kind of proof, and no password.
    PASSKEY = "passkey"
    """With the device's own question (finger, face or PIN): two factors in one."""
    PROVIDER = "the newsroom’s provider"
    """The identity provider answers for its second factor."""
    CODE = "code"
    RECOVERY = "recovery code"

    @property
    def is_strong(self) -> bool:
        """Whether it counts as two factors; a code does, since it is asked for only after a password."""
        return self is not Proof.PASSWORD


class Next(enum.Enum):
    """What comes after a proof."""

    IN = enum.auto()
    """Nothing: the session begins."""
    SECOND = enum.auto()
    """The second factor that the account has."""
    ENROL = enum.auto()
    """A second factor is set up first: the role needs one, and the account has none."""


@dataclass(frozen=True)
class Factors:
    """What an account can be asked for beside its password."""

    codes: bool
    """An authenticator app that was confirmed."""
    passkeys: int
    recovery_codes: int

    @property
    def any(self) -> bool:
        """Whether there is a second factor. Recovery codes stand in for one and are none by themselves."""
        return self.codes or self.passkeys > 0


def next_step(proof: Proof, role: Role, factors: Factors, demanded: Collection[Role]) -> Next:
    """What somebody who has shown `proof` has to show next. `demanded` are the roles that need a second factor."""
    if proof.is_strong:
        return Next.IN
    if factors.any:
        return Next.SECOND
    return Next.ENROL if role in demanded else Next.IN
