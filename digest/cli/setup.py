"""The command that sets up an installation."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from digest.cli.context import Failed, app, writing
from digest.cli.keys import write_new
from digest.cli.printing import say
from digest.configuration import FILE_NAME
from subscribers.transfer.rejects import open_for_owner

KEYS_NAME = "digest.keys"
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
# A connection carries so many messages, and then another is made.
# reuse = 100
# The most that may leave, where your provider sets a limit: of all processes together, each line by itself.
# per_second = 20
# per_hour = 5000
# per_day = 50000

[fetch]
# Hosts inside your network that sources may be on.
# allow_private = ["intranet.example.org"]
interval = "1 h"

# What is looked at before an issue goes out, beyond the issue itself.
# [checks]
# Links are asked for, politely: those on your sources' own sites, and on the sites named here.
# links = true
# links_every = "6 h"
# link_hosts = ["cpj.org"]
# "spamc" or "spamassassin", where SpamAssassin is installed: each issue is scored.
# spam = "off"
# spam_timeout = 20

# How people get into the desk (docs/accounts.md).
# [login]
# Roles that need a second factor beside the password.
# second_factor = ["publisher", "admin"]
# idle = "30 min"
# session = "8 h"
# The newsroom's own identity provider (OpenID Connect); passwords = false in [login] then leaves only it and passkeys.
# [login.oidc]
# issuer = "https://id.example.org/realms/newsroom"
# client_id = "digest-desk"
# client_secret = "…"     # rather by the environment: DIGEST_LOGIN_OIDC_CLIENT_SECRET_FILE=/run/secrets/oidc

# Bounces, complaints, and mail of those who leave (docs/inbound.md).
# [inbound]
# domain = "bounces.example.org"
# listen = "127.0.0.1:8024"
# authserv_id = "mx.example.org"
# Whose reports of complaints are believed: what the feedback loops that you joined sign with.
# feedback_domains = ["arf.mail.yahoo.com"]

[newsletters.watchdog]
title = "Watchdog"
description = "Human rights, civil society and press freedom, every Thursday."
# What people agree to who subscribe. Without this line: "Send me Watchdog by e-mail.", in its language if we have words
# for that, and the description.
# wording = "Yes, send me Watchdog by e-mail every Thursday."
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
# How many publishers have to approve the same text; with 2 nobody sends alone.
# approvals = 2
# So long after the hour the newsroom is told by mail that nothing has left.
# overdue = "30 min"
# After so long it is not sent by itself any more.
too_late = "12 h"
# Thursdays without an issue; the next one reaches back over them. The desk can skip and move single weeks, too.
# skip = [2026-12-24, 2026-12-31]

# Who signs by DKIM: the relay, or, with this section and `digest dkim make`, we.
# [newsletters.watchdog.dkim]
# selector = "w2026"
# key = "dkim-watchdog.pem"

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
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    config, secret = folder / FILE_NAME, folder / KEYS_NAME
    there = [path for path in (config, secret) if path.exists()]
    if len(there) == 2:  # noqa: PLR2004 -- both.
        raise Failed(f"{config} and {secret} are there already; nothing was changed.")
    kept = f"{there[0]} is there, kept; " if there else ""
    wrote = [_write_config(config)] if config not in there else []
    wrote += [write_new(secret)] if secret not in there else []
    say(f"{kept}wrote {' and '.join(wrote)}")
    # The file is looked for in the current folder alone, so elsewhere it has to be named.
    named = "digest" if folder.resolve() == Path.cwd() else f"digest -c {shlex.quote(str(config))}"
    say(f"next: edit {config}, then `{named} doctor` and `{named} up`, which prints a link for the first account")


def _write_config(path: Path) -> str:
    # For its owner alone: a relay's password is soon in it.
    with writing(path), open_for_owner(path, replace=False) as file:
        file.write(CONFIG)
    return str(path)
