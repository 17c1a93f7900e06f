"""The only place that builds things: from settings to a house whose rooms know each other.

A room that not every command needs is read where it is built: to read all of them takes longer than most commands.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from digest import migrations
from digest.issues import search_index
from digest.mail.outbox import LedgerOutbox
from digest.mail.personal import LedgerRecords
from digest.mail.render import Renderer
from digest.queue import jobs
from digest.settings import Newsletter, Settings
from subscribers.db import Database
from subscribers.keys import Keys, KeysFile, read_keys
from subscribers.newsletters import NewsletterInfo, Sentence
from subscribers.sealed import mend, without_hash
from subscribers.service import Service
from subscribers.vault import Vault

if TYPE_CHECKING:
    from digest.gather.refresh import SourceReport
    from digest.inbound.door import Doorkeeper
    from digest.inbound.inbox import Inbox, Readers
    from digest.inbound.mailboxes import Mailboxes
    from digest.issues.plan import Hands
    from digest.issues.watch import Eyes
    from digest.queue.worker import Worker

log = structlog.get_logger()

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The clock of every process that is not a test."""
    return dt.datetime.now(dt.UTC)


class NeedsPrivateKey(Exception):
    """A process that sends was given keys without the private one."""


@dataclass(frozen=True)
class House:
    """Everything that a command or a role works with."""

    settings: Settings
    keys: Keys = field(repr=False)
    database: Database
    vault: Vault
    outbox: LedgerOutbox
    service: Service
    renderer: Renderer
    clock: Clock

    def newsletter(self, slug: str) -> Newsletter:
        """The newsletter of that slug. Raises `KeyError`."""
        return self.settings.newsletters[slug]

    def gather(self, newsletter: Newsletter, now: dt.datetime) -> list[SourceReport]:
        """Read every source of a newsletter; what is wrong with one is said, and the others go on."""
        from digest.gather.refresh import refresh

        reports = refresh(self.database, newsletter, self.settings.fetch, now)
        for report in reports:
            if report.reason:
                log.warning("a source", newsletter=newsletter.slug, url=report.url, why=report.reason)
        return reports

    def hands(self) -> Hands:
        """What the planner acts with."""
        from digest.issues.plan import Hands

        return Hands(
            database=self.database,
            renderer=self.renderer,
            base_url=self.settings.web.base_url,
            reminders=self.outbox,
            gather=self.gather,
            prepare=self.vault.prepare,
            interval=self.settings.fetch.interval,
            enqueue=jobs.enqueue,
        )

    def eyes(self) -> Eyes:
        """What looks after the open issues: their links, a spam filter, approved ones that have turned red."""
        from digest.gather.fetch import Fetcher
        from digest.issues.watch import Eyes
        from digest.mail import spam

        fetch = self.settings.fetch
        return Eyes(self.hands(), self.settings, self.clock, lambda: Fetcher(fetch), spam.COMMANDS)

    def worker(self) -> Worker:
        """The sender's loop. Raises `NeedsPrivateKey`, `WrongKeys` or `BadDkimKey` where it cannot work."""
        from digest.mail.dkim_keys import signers
        from digest.mail.send import Engine
        from digest.queue.sending import Kit
        from digest.queue.worker import Worker

        if self.keys.private is None:
            raise NeedsPrivateKey(
                "this process has keys without `private` and cannot read addresses; sending needs the whole keys file"
            )
        self.vault.check()
        # Before anybody is mailed: whom the list of those who must never be is asked about, is asked by this hash.
        for finding in mend(self.database, self.vault, without_hash(self.database)):
            log.error("a reader's row cannot be used", row=finding.row, why=finding.what, advice=finding.advice)
        kit = Kit(
            self.database,
            self.vault,
            self.renderer,
            self.service.links,
            self.settings.newsletters,
            signers(self.settings),
        )
        return Worker(kit, Engine(self.database, self.settings.smtp, self.clock), self.inbox())

    def inbox(self) -> Inbox:
        """What reads the mail and the notices that came in; it needs the private key."""
        from digest.inbound import arrivals, hooks
        from digest.inbound.inbox import Inbox
        from digest.inbound.posted import unpacked
        from digest.inbound.reading import Reader

        inbound = self.settings.inbound
        mail = Reader(self.keys.token, self.settings.newsletters, inbound.authserv_id, inbound.feedback_domains)
        told = hooks.readers(self.keys.token)
        readers: Readers = {arrivals.MAIL: lambda raw: mail.read(unpacked(raw)), **told}
        return Inbox(self.database, self.vault, self.service, readers)

    def doorkeeper(self) -> Doorkeeper:
        """What takes mail in; it needs no private key."""
        from digest.inbound.door import Doorkeeper
        from digest.inbound.keeping import Unread

        return Doorkeeper(self.database, self.vault, self.clock, self.mailboxes(), Unread(self.database))

    def mailboxes(self) -> Mailboxes:
        """Which mailboxes mail is taken in for."""
        from digest.inbound.mailboxes import Mailboxes

        return Mailboxes(self.keys.token, self.settings.newsletters, self.settings.inbound.domain)


def build(settings: Settings, clock: Clock = utc_now, *, makes: bool = True) -> House:
    """Build a house on a database that is brought up to date first, and made where it `makes` one.

    Raises `subscribers.keys.BadKeys`, `digest.migrations.BadDatabase`.
    """
    # The file's mark is taken first: what is put there while we read is then seen as a change.
    file = KeysFile(settings.keys)
    keys = read_keys(settings.keys)
    database = Database(settings.database.url)
    if not makes:
        migrations.demand(database)
    migrations.upgrade(database)
    search_index.follow(database)
    jobs.prepare(database)
    vault = Vault(database, keys, file)
    outbox = LedgerOutbox(vault)
    renderer = Renderer(template_folders(settings, "email"))
    infos = {slug: info_of(newsletter, renderer) for slug, newsletter in settings.newsletters.items()}
    return House(
        settings=settings,
        keys=keys,
        database=database,
        vault=vault,
        outbox=outbox,
        service=Service(database, vault, keys, outbox, settings.web.base_url, infos, LedgerRecords()),
        renderer=renderer,
        clock=clock,
    )


def template_folders(settings: Settings, kind: str) -> list[Path]:
    """Where templates of a kind (`email`, `web`) are looked for: the newsroom's own folder first, then ours."""
    own = [settings.templates / kind] if settings.templates else []
    return [*own, _packaged() / kind]


def _packaged() -> Path:
    """Our templates: beside the code in an installed package, at the top of the repository otherwise."""
    here = Path(__file__).parent
    installed = here / "templates"
    return installed if installed.is_dir() else here.parent / "templates"


def info_of(newsletter: Newsletter, renderer: Renderer) -> NewsletterInfo:
    """What the people's side is told of a newsletter."""
    language, direction = newsletter.language, newsletter.direction
    agreed = _agreed(newsletter, renderer)
    return NewsletterInfo(
        slug=newsletter.slug,
        title=newsletter.title,
        description=newsletter.description,
        language=language,
        direction=direction,
        publisher=newsletter.publisher,
        wording=" ".join(one.text for one in agreed),
        wording_parts=agreed if any(one.language != language for one in agreed) else (),
        neutral_subject=renderer.said("neutral_subject", language),
    )


def _agreed(newsletter: Newsletter, renderer: Renderer) -> tuple[Sentence, ...]:
    """What people agree to: the newsroom's own words, or ours and what it says of the newsletter."""
    language, direction = newsletter.language, newsletter.direction
    if newsletter.wording:
        return (Sentence(newsletter.wording, language, direction),)
    ours = renderer.said("agreement", language, title=newsletter.title)
    about = Sentence(newsletter.description, language, direction)
    return (ours, about) if about.text else (ours,)
