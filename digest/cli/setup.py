"""Commands that set up and look after an installation: init and doctor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer

from digest import migrations
from digest.cli.context import Failed, app, out, print_table, settings
from digest.configuration import FILE_NAME
from digest.mail import selftest
from digest.mail.headers import MUST_BE_SIGNED
from digest.mail.render import Renderer
from digest.mail.smtp import Interrupted, Limits, Refused, open_session
from digest.models import SourceState
from digest.settings import Settings, Smtp
from digest.wiring import template_folders
from subscribers.db import Database
from subscribers.keys import BadKeys, make_keys, read_keys, write_keys

CONFIG = """\
# Watchdog Digest. Every key can also be given by the environment: DIGEST_SMTP_URL, DIGEST_DATABASE_URL, …, and
# from a file by …_FILE: DIGEST_SMTP_URL_FILE=/run/secrets/smtp. `digest doctor` looks everything over.

# The secrets, made by `digest init`. A copy belongs somewhere safe, and never beside the database's backups.
keys = "digest.keys"

# A folder of your own templates; `email/issue/body.mjml` in it wins over ours.
# templates = "templates"

[web]
# What links in mail begin with. Readers must reach it by https.
base_url = "http://127.0.0.1:8000"
host = "127.0.0.1"
port = 8000

[database]
# SQLite needs nothing else. PostgreSQL is for several machines: "postgresql://user:password@host/digest"
url = "sqlite:///digest.db"

[smtp]
# smtps:// speaks TLS from the start (465), smtp:// by STARTTLS (587); neither ever goes on without.
# smtp+plain:// is for a mail server on this machine.
url = "smtp+plain://127.0.0.1:25"
connections = 4
# The name we greet with.
hostname = "digest.example.org"

[fetch]
# Hosts inside your network that sources may be on.
# allow_private = ["intranet.example.org"]
interval = "1 h"

[newsletters.watchdog]
title = "Watchdog"
description = "Human rights, civil society and press freedom, every Thursday."
language = "en"
timezone = "Europe/Prague"
# When it goes out, and when the week's window ends: posts from one cut-off to the next belong to one issue.
send = "thu 10:00"
cutoff = "thu 06:00"
# A mailbox that somebody reads.
sender = "Watchdog <watchdog@digest.example.org>"
publisher = "Your Newsroom, 1 Main Street, Your City"
# What happens at the hour when nobody has approved it: "hold" (editors are reminded) or "send".
unapproved = "hold"
# After so long it is not sent by itself any more.
too_late = "12 h"
# Thursdays without an issue; the next one reaches back over them.
# skip = [2026-12-24, 2026-12-31]

# feed = an RSS, Atom or JSON feed; sitemap = a news sitemap; page = a blog's page.
[[newsletters.watchdog.sources]]
feed = "https://www.example.org/api/"

# [[newsletters.watchdog.sources]]
# page = "https://www.example.org/journalists-in-trouble"
# section = "Journalists in Trouble"
"""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where; the current folder if not given.")] = Path(),
) -> None:
    """Write a commented digest.toml and the keys file. Nothing that is there is ever overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    there = [path for path in (folder / FILE_NAME, folder / "digest.keys") if path.exists()]
    if there:
        raise Failed(f"{' and '.join(map(str, there))} is there already; nothing was changed.")
    write_keys(folder / "digest.keys", make_keys())
    (folder / FILE_NAME).write_text(CONFIG, encoding="utf-8")
    out.print(f"wrote {folder / FILE_NAME} and {folder / 'digest.keys'} (secret; keep a copy somewhere safe)")
    out.print("next: edit digest.toml, then `digest doctor`, `digest users add NAME`, `digest up`")


keys = typer.Typer(help="The keys file.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.callback()
def keys_options() -> None:
    """Keep `keys` a group of commands, with room for more than one."""


@keys.command("make")
def make_keys_file(
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Being there already is no failure.")] = False,
) -> None:
    """Make the keys file that the settings name. One that is there is never overwritten."""
    path = settings().keys
    if path.exists():
        if not if_missing:
            raise Failed(f"{path} is there already; nothing was changed.")
        out.print(f"{path} is there")
        return
    write_keys(path, make_keys())
    out.print(f"wrote {path} (secret; keep a copy somewhere safe)")


@app.command()
def doctor() -> None:
    """Look everything over: keys, database, mail, relay, templates, sources. Exit code 1 where something is wrong."""
    found = settings()
    rows = [(name, *_examined(look)) for name, look in _looks(found)]
    print_table(("", "", "what was found"), [(("ok" if good else "WRONG"), name, said) for name, good, said in rows])
    if not all(good for _, good, _ in rows):
        raise Failed("Something needs your attention.")


Look = Callable[[], str]


class _Wrong(Exception):
    """A look found something wrong."""


def _examined(look: Look) -> tuple[bool, str]:
    try:
        return True, look()
    except (_Wrong, BadKeys, migrations.BadDatabase) as error:
        return False, str(error)


def _looks(found: Settings) -> Iterator[tuple[str, Look]]:
    yield "settings", lambda: f"{len(found.newsletters)} newsletter(s): {', '.join(found.newsletters)}"
    yield "keys", lambda: _keys(found)
    yield "database", lambda: _database(found)
    yield "mail", _mail
    yield "templates", lambda: _templates(found)
    yield "relay", lambda: _relay(found.smtp)
    yield "links", lambda: _links(found)
    yield "sources", lambda: _sources(found)


def _keys(found: Settings) -> str:
    keys = read_keys(found.keys)
    return "complete" if keys.private else "without `private`: good for a web process, not for sending"


def _database(found: Settings) -> str:
    database = Database(found.database.url)
    migrations.upgrade(database)
    return f"{database.engine.dialect.name}, up to date"


def _mail() -> str:
    if problems := selftest.problems():
        raise _Wrong("; ".join(problems))
    return "hard subjects, long links and foreign names come out right"


def _templates(found: Settings) -> str:
    Renderer(template_folders(found, "email"))
    return "the newsroom's own first" if found.templates else "the package's"


def _relay(smtp: Smtp) -> str:
    async def look() -> str:
        async with await open_session(smtp, Limits(connect=10)):
            return f"{smtp.host}:{smtp.port} answers" + (" and lets us in" if smtp.username else "")

    try:
        said = asyncio.run(look())
    except (Refused, Interrupted) as error:
        raise _Wrong(f"{smtp.host}:{smtp.port}: {error}") from error
    if smtp.security == "smtp+plain":
        return f"{said}, in the clear: right for this machine only"
    return f"{said}, by TLS. See that its DKIM signature covers {', '.join(MUST_BE_SIGNED)}"


def _links(found: Settings) -> str:
    if not found.web.is_https:
        return f"{found.web.base_url} is not https: right for trying out only"
    return f"links in mail begin with {found.web.base_url}"


def _sources(found: Settings) -> str:
    database = Database(found.database.url)
    with database.read() as session:
        ill = session.scalars(sa.select(SourceState).where(SourceState.reason.is_not(None))).all()
    if ill:
        raise _Wrong("; ".join(f"{source.url}: {source.reason}" for source in ill))
    return "no known trouble"
