"""What can be set: one frozen `Settings`, and what makes a value of it right. `configuration` reads it."""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import re
from collections.abc import Iterator
from email.utils import parseaddr
from ipaddress import ip_network
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo
from tld import is_tld

from digest.settings_checks import Checks
from digest.settings_hooks import Hooks
from digest.settings_login import Login
from digest.weeks import Slot, parse_duration
from subscribers.budgets import FormRules
from subscribers.characters import steering

_RIGHT_TO_LEFT = re.compile("ar|arc|azb|ckb|dv|fa|he|nqo|prs|ps|pus|sd|syr|ug|ur|yi")
_SCRIPT = re.compile("[a-z]{4}")
_RIGHT_TO_LEFT_SCRIPT = re.compile("adlm|arab|hebr|nkoo|syrc|thaa")


def direction_of(language: str) -> Literal["ltr", "rtl"]:
    """The direction of a language tag's script, by its script subtag if it has one (BCP 47)."""
    first, *rest = language.lower().split("-")
    scripts = [part for part in rest if _SCRIPT.fullmatch(part)]
    if scripts:
        return "rtl" if _RIGHT_TO_LEFT_SCRIPT.fullmatch(scripts[0]) else "ltr"
    return "rtl" if _RIGHT_TO_LEFT.fullmatch(first) else "ltr"


_zone_names = functools.cache(available_timezones)
"""Every time zone's name: hundreds of files are looked at for them, once."""


def _zone(value: object) -> object:
    if isinstance(value, str):
        if value not in _zone_names():
            near = difflib.get_close_matches(value, sorted(_zone_names()), 1)
            hint = f"did you mean {near[0]!r}?" if near else "use a name like 'Europe/Prague'"
            raise ValueError(f"{value!r} is not a time zone; {hint}")
        return ZoneInfo(value)
    return value


def _slot(value: object) -> object:
    return Slot.parse(value) if isinstance(value, str) else value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def _dns_name(value: str) -> str:
    name = value.lower()
    if len(name) > 200 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name):  # noqa: PLR2004 -- of 253, `_domainkey` takes some.
        raise ValueError(f"{value!r} is not a name in the DNS; it is written like 'w2026' or 'example.org'")
    return name


DnsName = Annotated[str, AfterValidator(_dns_name)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
SlotText = Annotated[Slot, BeforeValidator(_slot)]
Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]


def _web_address(text: str, wanted: str) -> SplitResult:
    """The parts of an http(s) address. Raises `ValueError` that repeats nothing of a password."""
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("it has a user or password in it, which is not supported here")
    is_plain = re.fullmatch(r"[!-~]+", text) and not re.search(r"[<>\"\\^`{|}]", text)
    if parts.scheme not in ("https", "http") or not parts.hostname or not _has_port(parts) or not is_plain:
        hint = " (a name in another script is written as an A-label, xn--…)" if not text.isascii() else ""
        raise ValueError(f"{text!r} is not {wanted}{hint}")
    return parts


def _has_port(parts: SplitResult) -> bool:
    """Whether the port of an address is one, or none is given."""
    try:
        return parts.port is None or parts.port >= 0
    except ValueError:
        return False


def are_aligned(domain: str, other: str) -> bool:
    """Whether two names are the same owner's, as DMARC sees it (RFC 7489 §3.1.1): what they share is somebody's own."""
    if domain == other:
        return bool(domain)
    pairs = zip(reversed(domain.split(".")), reversed(other.split(".")), strict=False)
    shared = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    # Under `org` and `co.uk` anybody registers names; one label alone belongs to nobody either.
    return len(shared) > 1 and not is_tld(".".join(reversed(shared)))


class Section(BaseModel):
    """What all parts have in common: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Mailbox(Section):
    """A name and an address, written `Watchdog <digest@example.org>` (RFC 5322 §3.4)."""

    name: str
    address: str

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        name, address = parseaddr(value)
        local, _, domain = address.rpartition("@")
        if not local or "." not in domain or not address.isascii() or re.search(r"[\s<>\"(),:;\\]", address):
            raise ValueError(f"{value!r} is not a sender; write it like 'Watchdog <digest@example.org>'")
        if found := steering(name):
            raise ValueError(f"the sender's name has the character {found} in it, which no header may hold")
        return {"name": name, "address": f"{local}@{domain.lower()}"}

    @property
    def domain(self) -> str:
        """The part after the @."""
        return self.address.rpartition("@")[2]


class Source(Section):
    """A place posts come from: exactly one of `feed`, `sitemap` and `page` is its address."""

    feed: str | None = None
    sitemap: str | None = None
    page: str | None = None
    section: str | None = None
    """The heading that its posts stand under; none: the main part."""
    match: str | None = None
    """Only links that hold this text, for a sitemap or page that has more than the blog."""
    stale_after: Duration = dt.timedelta(days=14)
    """A source without a new post for so long makes a held draft (W-56)."""

    @property
    def kind(self) -> Literal["feed", "sitemap", "page"]:
        """How the source is read."""
        return "feed" if self.feed else "sitemap" if self.sitemap else "page"

    @property
    def url(self) -> str:
        """Its address, which also names it in tables."""
        return self.feed or self.sitemap or self.page or ""

    @model_validator(mode="after")
    def _one_address(self) -> Source:
        given = [name for name in ("feed", "sitemap", "page") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("a source has exactly one of feed, sitemap and page")
        _web_address(self.url, "a web address; write it like 'https://www.example.org/api/'")
        return self


class Dkim(Section):
    """How a newsletter's mail is signed by us, as `[newsletters.<slug>.dkim]` says; without it the relay signs."""

    selector: DnsName
    """The public key is published at `<selector>._domainkey.<domain>` (RFC 6376 §3.1)."""
    key: Path
    """The private key, a PEM file of mode 0600."""
    domain: DnsName | None = None
    """The name that is signed in; the sender's own if none is given."""


class Newsletter(Section):
    """What people subscribe to, as `[newsletters.<slug>]` declares it."""

    slug: str = ""
    title: str = Field(min_length=1)
    description: str = ""
    """One sentence for the form and the foot of the letters: what one gets, and how often."""
    wording: str = ""
    """What people agree to who subscribe, in its language; else our own words in it, and the description."""
    language: str = "en"
    timezone: Zone = Field(default_factory=lambda: ZoneInfo("UTC"))
    send: SlotText = Field(default_factory=lambda: Slot.parse("thu 10:00"))
    cutoff: SlotText = Field(default_factory=lambda: Slot.parse("thu 06:00"))
    sender: Mailbox
    publisher: str = ""
    """Who stands behind it, with the postal address: the foot of every issue (F-04)."""
    sources: tuple[Source, ...] = Field(min_length=1)
    unapproved: Literal["hold", "send"] = "hold"
    approvals: int = Field(default=1, ge=1, le=2)
    """How many publishers have to approve the same text: 2 is the two-person rule (W-41)."""
    overdue: Duration = dt.timedelta(minutes=30)
    """So long after the hour the newsroom is told that the issue has not left."""
    too_late: Duration = dt.timedelta(hours=12)
    skip: frozenset[dt.date] = frozenset()
    """Dates on which nothing is sent. What the desk has changed beside it is known to `digest.calendar` alone."""
    image_hosts: tuple[str, ...] = ()
    """Hosts that pictures may come from besides the sources' own sites: a newsroom's picture server (F-40)."""
    max_items: int = Field(default=25, ge=1, le=40)
    dkim: Dkim | None = None
    inbound_domain: DnsName | None = None
    """Where its bounces and the mail of those who leave come back to; it is set for all by `[inbound] domain`."""

    @field_validator("language")
    @classmethod
    def _language_tag(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
            raise ValueError(f"{value!r} is not a language tag (BCP 47); write it like 'en' or 'fa'")
        return value

    @model_validator(mode="after")
    def _signed_in_its_own_name(self) -> Newsletter:
        domain, own = self.signing_domain, self.sender.domain
        if domain != own and not own.endswith(f".{domain}"):
            raise ValueError(f"dkim.domain {domain!r} is neither the sender's own, {own!r}, nor a parent of it")
        if not are_aligned(domain, own):
            raise ValueError(
                f"dkim.domain {domain!r} is not yours alone; sign in {own!r}, or in a parent that is yours"
            )
        return self

    @model_validator(mode="after")
    def _two_look_at_it(self) -> Newsletter:
        if self.approvals > 1 and self.unapproved == "send":
            raise ValueError('approvals = 2 and unapproved = "send" contradict each other; take one of them out')
        return self

    @property
    def signing_domain(self) -> str:
        """The name that its mail is signed in by us."""
        return (self.dkim and self.dkim.domain) or self.sender.domain

    @property
    def direction(self) -> Literal["ltr", "rtl"]:
        """The direction of its script."""
        return direction_of(self.language)

    @property
    def sections(self) -> tuple[str, ...]:
        """The headings its items can stand under, in order; the main part is the empty string and comes first."""
        return tuple(dict.fromkeys(["", *(source.section or "" for source in self.sources)]))


class Smtp(Section):
    """The relay that takes our mail (S-01, S-02).

    `smtps://user:password@host:465` speaks TLS from the start, `smtp://…:587` upgrades by STARTTLS and gives up where
    that is not offered; `smtp+plain://` is for loopback alone.
    """

    url: str = "smtp+plain://127.0.0.1:2525"
    connections: int = Field(default=4, ge=1, le=100)
    hostname: str = "localhost.localdomain"
    """The name we greet with (EHLO): the machine's own would tell more than it should (F-36)."""
    reuse: int = Field(default=100, ge=1)
    """How many messages a connection carries before a new one is made (S-44)."""
    per_second: float | None = Field(default=None, gt=0)
    per_hour: int | None = Field(default=None, ge=1)
    per_day: int | None = Field(default=None, ge=1)
    """The most messages that leave, of all processes together (S-46). Letters to one person do not wait, but count."""

    @field_validator("url")
    @classmethod
    def _relay(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("smtps", "smtp", "smtp+plain") or not parts.hostname:
            raise ValueError("it is not a relay's address; write it like 'smtps://user:password@relay.example.org:465'")
        if not _has_port(parts) or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("a password with / # ? or @ is written with %2F %23 %3F or %40 in a relay's address")
        if parts.scheme == "smtp+plain" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            if not re.fullmatch(r"[a-z0-9_-]+", parts.hostname):
                raise ValueError(
                    "smtp+plain:// sends in the clear and is for this machine alone; use smtps:// or smtp://"
                )
            # A one-word name is a neighbour on a private network of containers: the mail catcher of compose.yaml.
            if parts.username:
                raise ValueError("smtp+plain:// would send the password in the clear; use smtps:// or smtp://")
        return value

    @property
    def host(self) -> str:
        """The relay's host name."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The relay's port; without one in the URL the scheme's (465, 587, 25)."""
        return urlsplit(self.url).port or {"smtps": 465, "smtp": 587}.get(self.security, 25)

    @property
    def security(self) -> str:
        """`smtps` (TLS from the start), `smtp` (STARTTLS, required) or `smtp+plain` (none; loopback)."""
        return urlsplit(self.url).scheme

    @property
    def username(self) -> str | None:
        """The user to log in as, if any."""
        name = urlsplit(self.url).username
        return unquote(name) if name else None

    @property
    def password(self) -> str | None:
        """The password to log in with, if any."""
        word = urlsplit(self.url).password
        return unquote(word) if word else None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "relay", f"{self.security}://{self.host}:{self.port}"


class Web(Section):
    """The pages. `base_url` is what links in mail begin with (O-03); it never comes from a request."""

    base_url: str = "http://127.0.0.1:8000"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    proxies: tuple[str, ...] = ()
    """Addresses or networks of the proxies before us: from them alone `X-Forwarded-For` is believed (O-26)."""

    @field_validator("proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(f"{one!r} is not an address or network; write it like '127.0.0.1'") from None
        return value

    @field_validator("base_url")
    @classmethod
    def _base(cls, value: str) -> str:
        wanted = "the address of a site; write it like 'https://digest.example.org'"
        parts = _web_address(value, wanted)
        if parts.query or parts.fragment:
            raise ValueError(f"it is not {wanted}")
        return value.rstrip("/")

    @property
    def is_https(self) -> bool:
        """Whether readers come by TLS: cookies are then bound to it."""
        return self.base_url.startswith("https://")


class Form(Section):
    """How much the sign-up form takes before it asks for more (O-24); what each is, `FormRules` says.

    A newsroom that expects a great wave, as after a broadcast, raises `per_hour`.
    """

    per_hour: int = Field(default=FormRules.per_hour, ge=1)
    prefix_per_hour: int = Field(default=FormRules.prefix_per_hour, ge=1)
    domain_per_hour: int = Field(default=FormRules.domain_per_hour, ge=1)
    unproven_per_hour: int = Field(default=FormRules.unproven_per_hour, ge=1)
    unproven_prefix_per_hour: int = Field(default=FormRules.unproven_prefix_per_hour, ge=1)
    hard_at: int = Field(default=FormRules.hard_at, ge=1)
    pause_at: int = Field(default=FormRules.pause_at, ge=1)
    origins: tuple[str, ...] = ()
    """Sites whose own pages may use the API from a browser, like `https://www.example.org`."""

    @field_validator("origins")
    @classmethod
    def _sites(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wanted = "a site; write it like 'https://www.example.org'"
        for one in value:
            parts = _web_address(one, wanted)
            if one != f"{parts.scheme}://{parts.netloc}".lower():
                raise ValueError(f"{one!r} is not {wanted}")
        return value

    @property
    def rules(self) -> FormRules:
        """The budgets."""
        return FormRules(**self.model_dump(exclude={"origins"}))


class DatabasePart(Section):
    """Where everything is kept: SQLite by default, PostgreSQL for a newsroom that has outgrown one machine."""

    url: str = Field(default="sqlite:///digest.db", repr=False)

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        if not re.match(r"(sqlite|postgres(ql)?(\+psycopg)?)://", value):
            raise ValueError("it is not a database we run on; write it like 'sqlite:///digest.db' or 'postgresql://…'")
        return value


class Fetch(Section):
    """How sources are read (W-50 to W-52)."""

    allow_private: tuple[str, ...] = ()
    """Hosts inside the network that may be fetched all the same."""
    user_agent: str = "WatchdogDigest/0.1 (+newsletter digest; reads a few pages a day)"
    interval: Duration = dt.timedelta(hours=1)
    """How often the scheduler gathers."""
    delay: float = Field(default=1.0, ge=0)
    """Seconds between two requests to one host."""
    max_bytes: int = Field(default=5_000_000, ge=1000)
    timeout: float = Field(default=20.0, gt=0)
    """Seconds for one whole answer."""


class Inbound(Section):
    """Mail that comes in: bounces, complaints, and people who leave or subscribe by mail (docs/inbound.md)."""

    domain: DnsName | None = None
    """Mail to it is handed to us by a mail server. Issues and letters then leave with a return path of their own in it,
    so that a bounce tells whose copy it is (N-01)."""
    listen: str | None = None
    """Where the mail server hands mail over by LMTP (RFC 2033): `127.0.0.1:8024`, or `unix:/run/digest/lmtp`."""
    authserv_id: str | None = Field(default=None, pattern=r"^[!-~]+$", max_length=255)
    """The name by which our own mail server says whether a mail is authenticated (RFC 8601 §2.5)."""
    feedback_domains: tuple[DnsName, ...] = ("arf.mail.yahoo.com",)
    """Who may complain for readers: what mailbox providers sign their feedback loops' reports with (N-12)."""

    @field_validator("feedback_domains")
    @classmethod
    def _of_one_provider(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if is_tld(one) or "." not in one:
                raise ValueError(f"{one!r} is nobody's own; name what a feedback loop signs with: 'arf.mail.yahoo.com'")
        return value

    @model_validator(mode="after")
    def _vouched_for(self) -> Inbound:
        if "feedback_domains" in self.model_fields_set and self.feedback_domains and self.authserv_id is None:
            raise ValueError("feedback_domains are believed only where authserv_id names who checks signatures; set it")
        return self

    @field_validator("listen")
    @classmethod
    def _on_this_machine(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch("unix:.+", value):
            return value
        match = re.fullmatch(r"(127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})", value)
        if match is None or int(match[2]) > 65535:  # noqa: PLR2004 -- ports are 16 bits.
            raise ValueError("it is not on this machine; write it like '127.0.0.1:8024' or 'unix:/run/digest/lmtp'")
        return value


class Settings(Section):
    """All that can be set, checked. Relative paths are relative to the folder of `digest.toml`."""

    # Before the newsletters, which are told its domain.
    inbound: Inbound = Inbound()
    newsletters: dict[str, Newsletter] = Field(min_length=1)
    web: Web = Web()
    smtp: Smtp = Smtp()
    database: DatabasePart = DatabasePart()
    fetch: Fetch = Fetch()
    hooks: Hooks = Hooks()
    form: Form = Form()
    checks: Checks = Checks()
    login: Login = Login()
    keys: Path = Path("digest.keys")
    """The keys file (mode 0600), or what a process is given of it."""
    templates: Path | None = None
    """A folder whose templates win over the package's, by the same names."""

    @field_validator("newsletters")
    @classmethod
    def _slugs(cls, value: dict[str, Newsletter], info: ValidationInfo) -> dict[str, Newsletter]:
        for slug in value:
            if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", slug):
                raise ValueError(f"the slug {slug!r} is not lower-case letters, digits and hyphens")
        told = {"inbound_domain": info.data.get("inbound", Inbound()).domain}
        return {slug: newsletter.model_copy(update={"slug": slug, **told}) for slug, newsletter in value.items()}
