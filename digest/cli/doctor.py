"""The command that looks an installation over. It changes nothing: no database is made, none is migrated."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from digest import migrations
from digest.cli.context import Failed, app, settings, settings_file, user
from digest.cli.printing import counted, print_table
from digest.cli.relay import explained
from digest.inbound import keeping
from digest.mail import selftest
from digest.mail.dkim_keys import record, signers
from digest.mail.providers import Provider, provider_of
from digest.mail.render import BadTemplate, Renderer
from digest.mail.render_words import BadWords
from digest.mail.smtp import Interrupted, Limits, Refused, open_session
from digest.mail.spam import COMMANDS
from digest.models import SourceState
from digest.settings import Settings, Smtp
from digest.settings_hooks import PROVIDERS
from digest.wiring import template_folders
from subscribers.db import Database
from subscribers.keys import BadKeys, read_keys
from subscribers.languages import BadCatalogue, read_catalogues

Look = Callable[[], str]
Row = tuple[str, str, str]
"""How it is, what was looked at, what was found."""
OK, ODD, WRONG = "ok", "note", "WRONG"
"""As it should be; as it should not stay, though everything works; and what keeps something from working."""

NOT_MADE = "not made yet; `digest up` makes it"
NOT_READ = "not read yet"
OF_THIS_ENVIRONMENT = " (as the file and this environment have it; the web process may have more)"
CHECK_THE_RELAY = (
    "send a test issue to a mailbox of yours (`digest test-send`), save it as it came, and `digest dkim check FILE`"
)


class _Wrong(Exception):
    """A look found something wrong."""


class _Odd(Exception):
    """A look found what works and should be different."""


@app.command()
def doctor() -> None:
    """Look everything over: keys, database, mail, relay, templates, sources. Exit code 1 where something is wrong."""
    rows = list(_rows(settings()))
    print_table(("", "", "what was found"), rows)
    if any(state == WRONG for state, _, _ in rows):
        raise Failed("Something needs your attention.")


def _rows(found: Settings) -> Iterator[Row]:
    yield OK, "settings", f"{counted(len(found.newsletters), 'newsletter')}: {', '.join(found.newsletters)}"
    yield _looked("keys", lambda: _keys(found))
    with closing(Database(found.database.url)) as database:
        state = _looked("database", lambda: _database(database))
        yield state
        yield _looked("files", lambda: _files(database))
        yield _looked("mail", _mail)
        yield _looked("templates", lambda: _templates(found))
        yield _looked("relay", lambda: _relay(found.smtp))
        yield _looked("dkim", lambda: _dkim(found))
        yield _looked("links", lambda: _links(found))
        yield _looked("hooks", lambda: _hooks(found))
        yield _looked("checks", lambda: _checks(found))
        how, _, said = state
        # Where the database is wrong, its row has said so, and nothing is known of the sources.
        if how == OK:
            yield _looked("inbound", lambda: _inbound(found, None if said == NOT_MADE else database))
            yield _looked("sources", lambda: NOT_READ if said == NOT_MADE else _sources(found, database))


def _looked(name: str, look: Look) -> Row:
    try:
        return OK, name, look()
    except _Odd as error:
        return ODD, name, str(error)
    except (_Wrong, BadKeys, BadTemplate, BadWords, BadCatalogue) as error:
        return WRONG, name, str(error)
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        return WRONG, name, f"the database cannot be worked with: {reason}"


def _keys(found: Settings) -> str:
    keys = read_keys(found.keys)
    return "complete" if keys.private else "without `private`: good for a web process, not for sending"


def _database(database: Database) -> str:
    if database.file:
        _check_folder(database.file.absolute().parent)
    if migrations.is_missing(database):
        return NOT_MADE
    if trouble := migrations.trouble(database):
        raise _Wrong(trouble)
    # A write that changes nothing and is not kept: what is read-only shows itself only then.
    with database.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))
        session.rollback()
    return f"{database.engine.dialect.name}, up to date"


def _check_folder(folder: Path) -> None:
    """See to it that SQLite can make its files there. Raises `_Wrong`."""
    if not folder.is_dir():
        raise _Wrong(f"the folder {folder} is not there; make it, or set [database] url")
    try:
        # Tried, since modes do not say it all: a disk may be read-only. A file without a name, so nothing stays.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _Wrong(
            f"nothing can be written in the folder {folder} by {user()} ({error.strerror}), and SQLite makes files "
            "there; give it to that user, or set [database] url"
        ) from error


def _files(database: Database) -> str:
    """Whether what is kept is for its owner alone."""
    file = database.file
    beside = [file.with_name(file.name + end) for end in ("", "-wal", "-shm")] if file else []
    there = [path for path in (settings_file(), *beside) if path.exists()]
    if shown := [str(path) for path in there if path.stat().st_mode & 0o004]:
        raise _Odd(f"everybody on this machine can read {', '.join(shown)}; `chmod 600` shuts them out")
    return "for their owner alone, or their group's"


def _mail() -> str:
    if problems := selftest.problems():
        raise _Wrong("; ".join(problems))
    return "hard subjects, long links and foreign names come out right"


def _templates(found: Settings) -> str:
    Renderer(template_folders(found, "email"))
    read_catalogues(template_folders(found, "web"))
    return "the newsroom's own first" if found.templates else "the package's"


def _relay(smtp: Smtp) -> str:
    async def look() -> str:
        async with await open_session(smtp, Limits(connect=10)):
            return f"{smtp.host}:{smtp.port} answers" + (" and lets us in" if smtp.username else "")

    try:
        said = asyncio.run(look())
    except (Refused, Interrupted) as error:
        raise _Wrong(explained(smtp, error)) from error
    if smtp.security == "smtp+plain":
        return f"{said}, in the clear: right for this machine only"
    return f"{said}, by TLS"


def _dkim(found: Settings) -> str:
    """Who signs (F-29). What a relay does can only be seen on a message that has gone through it."""
    if not _sends(found):
        return "not looked at: this machine does not send"
    ours = signers(found)
    said = [
        f"{slug} is signed by us; {record(one)[0]} must be in the DNS (`digest dkim record`)"
        for slug, one in ours.items()
    ]
    if relays := [slug for slug in found.newsletters if slug not in ours]:
        verb = "is" if len(relays) == 1 else "are"
        said.append(f"{', '.join(relays)} {verb} left to the relay to sign; {CHECK_THE_RELAY}")
    return ". ".join(said)


def _sends(found: Settings) -> bool:
    try:
        return read_keys(found.keys).private is not None
    except BadKeys:
        # The row of the keys has said so.
        return True


def _links(found: Settings) -> str:
    if not found.web.is_https:
        return f"{found.web.base_url} is not https: right for trying out only"
    return f"links in mail begin with {found.web.base_url}"


def _hooks(found: Settings) -> str:
    """Which mail providers can tell us of bounces (N-30)."""
    if half_way := found.hooks.half_way():
        raise _Wrong("; ".join(half_way) + OF_THIS_ENVIRONMENT)
    names = [name for name in PROVIDERS if found.hooks.path_of(name)]
    return (
        f"{', '.join(names)} may tell of bounces"
        if names
        else f"no mail provider tells of bounces{OF_THIS_ENVIRONMENT}"
    )


def _inbound(found: Settings, database: Database | None) -> str:
    """Whether mail is taken in, and what waits for a person."""
    for domain in found.inbound.feedback_domains:
        if provider_of(f"@{domain}") is not Provider.OTHER:
            raise _Wrong(
                f"whoever has a mailbox at {domain} could complain in a reader's place; name in [inbound] "
                "feedback_domains what its feedback loop signs with, like 'arf.mail.yahoo.com'"
            )
    if database is not None and (trouble := keeping.trouble(database)):
        raise _Wrong(trouble)
    if found.inbound.domain is None:
        return "no mail is taken in: nobody counts bounces unless a mail provider tells of them"
    return f"mail to {found.inbound.domain} is taken in, and read where the private key is"


def _checks(found: Settings) -> str:
    """Whether the spam filter that is to be asked is on this machine."""
    links = "links are asked for" if found.checks.links else "links are not asked for"
    if found.checks.spam == "off":
        return f"{links}; no spam filter is asked"
    command = COMMANDS[found.checks.spam][0]
    if shutil.which(command) is None:
        raise _Wrong(f'the command {command} is not on this machine; install it, or set [checks] spam = "off"')
    return f"{links}; {command} scores each issue"


def _sources(found: Settings, database: Database) -> str:
    declared = {(slug, source.url) for slug, one in found.newsletters.items() for source in one.sources}
    with database.read() as session:
        states = session.scalars(sa.select(SourceState).order_by(SourceState.newsletter, SourceState.url)).all()
    read = [state for state in states if state.checked_at and (state.newsletter, state.url) in declared]
    if ill := [state for state in read if state.reason]:
        raise _Wrong("; ".join(f"{state.url}: {state.reason}" for state in ill))
    if not read:
        return NOT_READ
    return f"{len(read)} of {len(declared)} were read, no known trouble"
