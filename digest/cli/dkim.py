"""Commands about the signature of our mail: its key, its DNS record, and what a received message shows of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from digest.cli.context import Failed, NewsletterName, app, settings, writing
from digest.cli.printing import one_line, say
from digest.mail.dkim import Signer
from digest.mail.dkim_check import Found, look
from digest.mail.dkim_keys import make_key, record, signer, write_key
from digest.settings import Dkim, Newsletter

dkim = typer.Typer(help="The DKIM signature of our mail.", no_args_is_help=True)
app.add_typer(dkim, name="dkim")


@dkim.command()
def make(newsletter: NewsletterName = None) -> None:
    """Make the key that the settings name, and print the DNS record to publish. No key is ever overwritten."""
    paper, section = _declared(newsletter)
    if section.key.exists():
        raise Failed(f"{section.key} is there already; nothing was changed. `digest dkim record` prints its record.")
    key = make_key()
    with writing(section.key):
        write_key(section.key, key)
    say(f"wrote {section.key} (secret; mode 0600)")
    _print_record(Signer(paper.signing_domain, section.selector, key))


@dkim.command("record")
def print_record(newsletter: NewsletterName = None) -> None:
    """Print the DNS record that belongs to the key."""
    paper, _ = _declared(newsletter)
    if found := signer(paper):
        _print_record(found)


@dkim.command()
def check(
    message: Annotated[
        Path | None, typer.Argument(help="A message as it was received, saved with its header; else standard input.")
    ] = None,
) -> None:
    """Say whether a received issue's DKIM signature covers what it must. Exit code 1 where it does not."""
    looked = look(_read(message))
    for found in looked.signatures:
        say(_sentence(found))
    if looked.absent:
        say(f"The message has no {', '.join(looked.absent)}. Every issue has; letters have less.")
    if looked.said:
        say(f"The receiver says: {', '.join(looked.said)}")
    if not looked.signatures:
        raise Failed("The message has no DKIM signature: nobody signs this mail.")
    if not looked.is_right:
        raise Failed("No signature covers what it must.")
    say("The signature covers what it must. Whether it is valid, only the receiver can say.")


def _sentence(found: Found) -> str:
    name = one_line(f"{found.selector}._domainkey.{found.domain}")
    return f"Signed as {name}: {one_line('; '.join(found.problems)) or 'it covers all that it must'}."


def _read(path: Path | None) -> bytes:
    if path is None:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}.") from error


def _declared(slug: str | None) -> tuple[Newsletter, Dkim]:
    """The newsletter that is meant, and how it is signed. Raises `Failed`."""
    known = settings().newsletters
    if slug is None and len(known) > 1:
        raise Failed(f"There are several newsletters; say which with --newsletter: {', '.join(known)}.")
    paper = known.get(slug or next(iter(known)))
    if paper is None:
        raise Failed(f"There is no newsletter {slug!r}; there are: {', '.join(known)}.")
    if paper.dkim is None:
        raise Failed(
            f"{paper.slug} is not signed by us. To change that, add to digest.toml: "
            f'[newsletters.{paper.slug}.dkim] with selector = "w1" and key = "dkim-{paper.slug}.pem"'
        )
    return paper, paper.dkim


def _print_record(found: Signer) -> None:
    name, strings = record(found)
    say("publish this TXT record; the pieces are one value:")
    say(f"name:  {name}")
    say("value: " + " ".join(f'"{string}"' for string in strings))
