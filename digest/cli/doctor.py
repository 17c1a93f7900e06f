"""The command that looks an installation over. It changes nothing: no database is made, none is migrated."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from digest import migrations
from digest.cli.context import Failed, app, settings
from digest.cli.printing import print_table
from digest.cli.relay import explained
from digest.mail import selftest
from digest.mail.dkim_keys import record, signers
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
Row = tuple[bool, str, str]
"""Whether it is right, what was looked at, what was found."""

NOT_MADE = "not made yet; `digest up` makes it"
NOT_READ = "not read yet"
CHECK_THE_RELAY = (
    "send a test issue to a mailbox of yours (`digest test-send`), save it as it came, and `digest dkim check FILE`"
)


class _Wrong(Exception):
    """A look found something wrong."""


@app.command()
def doctor() -> None:
    """Look everything over: keys, database, mail, relay, templates, sources. Exit code 1 where something is wrong."""
    rows = list(_rows(settings()))
    print_table(("", "", "what was found"), [(("ok" if good else "WRONG"), name, said) for good, name, said in rows])
    if not all(good for good, _, _ in rows):
        raise Failed("Something needs your attention.")


def _rows(found: Settings) -> Iterator[Row]:
    yield True, "settings", f"{len(found.newsletters)} newsletter(s): {', '.join(found.newsletters)}"
    yield _looked("keys", lambda: _keys(found))
    with closing(Database(found.database.url)) as database:
        state = _looked("database", lambda: _database(database))
        yield state
        yield _looked("mail", _mail)
        yield _looked("templates", lambda: _templates(found))
        yield _looked("relay", lambda: _relay(found.smtp))
        yield _looked("dkim", lambda: _dkim(found))
        yield _looked("links", lambda: _links(found))
        yield _looked("hooks", lambda: _hooks(found))
        yield _looked("checks", lambda: _checks(found))
        is_right, _, said = state
        # Where the database is wrong, its row has said so, and nothing is known of the sources.
        if is_right:
            yield _looked("sources", lambda: NOT_READ if said == NOT_MADE else _sources(found, database))


def _looked(name: str, look: Look) -> Row:
    try:
        return True, name, look()
    except (_Wrong, BadKeys, BadTemplate, BadWords, BadCatalogue) as error:
        return False, name, str(error)
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        return False, name, f"the database cannot be worked with: {reason}"


def _keys(found: Settings) -> str:
    keys = read_keys(found.keys)
    return "complete" if keys.private else "without `private`: good for a web process, not for sending"


def _database(database: Database) -> str:
    name = database.url.database or ":memory:"
    # What begins like these is no plain path to a file.
    if database.is_sqlite and not name.startswith((":", "file:")) and _is_missing(Path(name)):
        return NOT_MADE
    if trouble := migrations.trouble(database):
        if _is_empty(database):
            return NOT_MADE
        raise _Wrong(trouble)
    # A write that changes nothing and is not kept: what is read-only shows itself only then.
    with database.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))
        session.rollback()
    return f"{database.engine.dialect.name}, up to date"


def _is_missing(file: Path) -> bool:
    """Whether SQLite's file is not there, and can be made. Raises `_Wrong` where it could not be."""
    if file.exists():
        return False
    if not file.parent.is_dir():
        raise _Wrong(f"the folder {file.parent} is not there; make it, or set [database] url")
    return True


def _is_empty(database: Database) -> bool:
    try:
        return not sa.inspect(database.engine).get_table_names()
    except sa.exc.SQLAlchemyError:
        # It could not be looked into, and the caller knows why.
        return False


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
        said.append(f"{', '.join(relays)} is left to the relay to sign; {CHECK_THE_RELAY}")
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
        raise _Wrong("; ".join(half_way))
    names = [name for name in PROVIDERS if found.hooks.path_of(name)]
    return f"{', '.join(names)} may tell of bounces" if names else "no mail provider tells of bounces"


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
