"""The `[checks]` part of the settings: what is looked at beyond the issue itself, before it goes out."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from digest.weeks import parse_duration


class Checks(BaseModel):
    """What the scheduler asks about open issues: their links, and a spam filter on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    links: bool = True
    """Whether links are asked for. Those on other hosts than the sources' and `link_hosts` never are."""
    link_hosts: tuple[str, ...] = ()
    """Sites beside the sources' own whose pages are asked for, with all their hosts: `cpj.org`."""
    links_every: Annotated[
        dt.timedelta, BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value)
    ] = dt.timedelta(hours=6)
    """After so long a link is asked for again."""
    spam: Literal["off", "spamc", "spamassassin"] = "off"
    """The command that scores an issue: `spamc -R` asks a running spamd, `spamassassin -t` starts anew each time."""
    spam_timeout: float = Field(default=20.0, gt=0, le=300)
    """Seconds that it is waited for."""

    @field_validator("link_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", one):
                raise ValueError(f"{one!r} is not a site's name; write it like 'cpj.org'")
        return value

    @field_validator("links_every")
    @classmethod
    def _not_too_often(cls, value: dt.timedelta) -> dt.timedelta:
        if value < dt.timedelta(minutes=10):
            raise ValueError("links are asked for every ten minutes at most; write it like '6 h'")
        return value
