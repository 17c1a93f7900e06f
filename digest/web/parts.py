"""What the pages are given by `wiring`: one frozen value, no globals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from litestar.types import ControllerRouterHandler

from digest.inbound.hooks.certificates import FetchFile
from digest.mail.outbox import LedgerOutbox
from digest.mail.render import Renderer
from digest.mail.slices import Enqueue
from digest.settings import Newsletter, Settings
from digest.web.access.codes import SecretBox
from digest.web.access.passkeys import Site, site_of
from digest.web.access.provider import Provider
from digest.web.accounts import Role
from digest.web.desk.remembered import Remembered
from digest.web.sessions import Rules
from digest.web.throttle import Throttle
from subscribers.db import Database
from subscribers.keys import Keys
from subscribers.pages import Pages
from subscribers.vault import Vault


@dataclass(frozen=True)
class Parts:
    """All that the pages work with."""

    settings: Settings
    database: Database
    vault: Vault
    keys: Keys
    renderer: Renderer
    outbox: LedgerOutbox
    """Made with the same `vault`: it is prepared before a transaction that seals."""
    pages: Pages
    static: Sequence[Path]
    """Folders of files for browsers; the first that has one wins, like with templates."""
    public_routes: Sequence[ControllerRouterHandler]
    """The readers' pages: `subscribers.web.public_routes(…)`."""
    clock: Callable[[], dt.datetime]
    unready: Callable[[], str | None] = lambda: None
    """Why the database cannot be worked with (its schema is not ours), in a sentence; none when it can."""
    pressed: Callable[[dt.datetime], str | None] = lambda _now: None
    """What whoever runs this should know of the sign-up form, in a sentence; none while it is calm."""
    enqueue: Enqueue | None = None
    """Hands a frozen issue's slices to the queue."""
    fetch_file: FetchFile | None = None
    """Fetches what a provider's notice is verified by; the guarded client does, if none is given."""
    throttle: Throttle = field(default_factory=Throttle)
    remembered: Remembered = field(default_factory=Remembered)
    """What the checks have said about issues as they stand."""

    @property
    def base_url(self) -> str:
        """What every absolute link begins with; it never comes from a request (O-03)."""
        return self.settings.web.base_url

    @property
    def is_https(self) -> bool:
        """Whether people come by TLS."""
        return self.settings.web.is_https

    @property
    def host(self) -> str:
        """The one name we answer to."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def title(self) -> str:
        """What the installation is called where it has to have a name: like its first newsletter."""
        return next(iter(self.settings.newsletters.values())).title

    @cached_property
    def secret_box(self) -> SecretBox:
        """What the secrets of authenticator apps are sealed with."""
        return SecretBox(self.keys.token)

    @cached_property
    def provider(self) -> Provider | None:
        """The newsroom's own identity provider, where the settings name one."""
        oidc = self.settings.login.oidc
        back = f"{self.base_url}/desk/login/provider/return"
        return Provider(oidc, self.settings.fetch, back, self.clock) if oidc else None

    @property
    def passkey_site(self) -> Site | None:
        """Where passkeys belong to; none where browsers make none."""
        return site_of(self.base_url, self.title)

    @property
    def session_rules(self) -> Rules:
        """How long sessions last and how strong they are, as `[login]` says."""
        login = self.settings.login
        return Rules(login.idle, login.session, frozenset(map(Role, login.second_factor)))

    def newsletter(self, slug: str) -> Newsletter | None:
        """The newsletter with this slug, if the settings declare one."""
        return self.settings.newsletters.get(slug)
