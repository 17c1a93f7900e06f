"""Commands about the keys file: make one, make a web machine's copy, check, rotate."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from digest.cli.context import Failed, app, house, settings, writing
from digest.cli.printing import counted, print_table, say
from digest.wiring import House
from subscribers.keys import make_keys, read_keys, write_keys
from subscribers.rotation import (
    DRAIN,
    Standing,
    alone,
    begin,
    close,
    finish,
    forget,
    reseal,
    retire_all,
    standing,
)
from subscribers.sealed import MENDABLE, OLD_INDEX, Finding, check_keys, check_values, has_sealed, mend
from subscribers.vault import Keys, Vault

MOST_SHOWN = 50
"""So many findings are printed; the rest is counted."""
SAMPLE = 1000

keys = typer.Typer(help="The keys file: make, split, check and rotate.", no_args_is_help=True)
app.add_typer(keys, name="keys")


def write_new(path: Path) -> str:
    """Write new keys to a file that is not there yet; returns how to speak of it. Raises `Failed`."""
    with writing(path):
        write_keys(path, make_keys())
    return f"{path} (secret; keep a copy somewhere safe)"


@keys.command("make")
def make_keys_file(
    file: Annotated[Path | None, typer.Argument(help="Where; else the file that the settings name.")] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Being there already is no failure.")] = False,
) -> None:
    """Make a keys file. One that is there is never overwritten."""
    path = file or settings().keys
    if path.exists():
        if not if_missing:
            raise Failed(f"{path} is there already; nothing was changed.")
        say(f"{path} is there")
        return
    say(f"wrote {write_new(path)}")


@keys.command()
def split(
    file: Annotated[Path, typer.Argument(help="Where to write the copy; nothing is overwritten.")],
) -> None:
    """Write the copy for a machine that only serves pages: without what opens addresses."""
    found = read_keys(settings().keys)
    with writing(file):
        write_keys(file, found.for_web())
    say(f"wrote {file} (mode 0600): a process with it takes sign-ups, and opens nothing")


@keys.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Which keys file, for example your copy; else the one that the settings name.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every value, not only a sample of each kind.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Make hashes anew that are missing or wrong.")] = False,
) -> None:
    """Say whether a keys file fits the database: every data key and value opens, every hash is right."""
    built = house()
    found = read_keys(file or built.settings.keys)
    if repair and not found.private:
        raise Failed("These keys have no `private` and open nothing; repair where the whole keys file is.")
    vault = Vault(built.database, found)
    findings = check_keys(built.database, vault, found)
    if not has_sealed(built.database):
        _say_findings(findings)
        say("nothing is sealed here, so nothing was checked")
        return
    if not findings and found.private:
        findings = list(check_values(built.database, vault, found, None if every else SAMPLE))
    if repair:
        findings = _repaired(built, vault, findings)
    if found.previous:
        old = sum(one.advice == OLD_INDEX for one in findings)
        say(f"a rotation is under way; {counted(old, 'row still has', 'rows still have')} the old index")
    _say_findings([one for one in findings if one.advice != OLD_INDEX])
    say("the keys fit the database" if found.private else "the keys fit the database, and open nothing in it")


def _repaired(built: House, vault: Vault, findings: list[Finding]) -> list[Finding]:
    rows = sorted({one.row for one in findings if one.advice == MENDABLE and one.row is not None})
    left = mend(built.database, vault, rows)
    say(f"{counted(len(rows) - len(left), 'row has', 'rows have')} new hashes")
    return [*(one for one in findings if one.advice != MENDABLE), *left]


def _say_findings(findings: list[Finding]) -> None:
    """Print what is wrong. Raises `Failed` where anything is."""
    for one in findings[:MOST_SHOWN]:
        say(str(one))
    if len(findings) > MOST_SHOWN:
        say(f"… and {len(findings) - MOST_SHOWN} more")
    if findings:
        raise Failed("Something needs your attention.")


@keys.command()
def rotate(
    data_keys: Annotated[
        bool, typer.Option("--data-keys", help="Only seal everything anew; the keys file stays as it is.")
    ] = False,
    finishing: Annotated[
        bool, typer.Option("--finish", help="Every machine has its new keys file: let the old pair go for good.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it is.")] = False,
    wait: Annotated[
        bool, typer.Option(help=f"Wait the {DRAIN.seconds // 60} minutes that old data keys are kept, and delete them.")
    ] = True,
) -> None:
    """Put new keys in the place of the old, while everything runs. Go on with what was interrupted by the same words.

    Without an option: a new key pair, a new index key, and everything sealed anew.
    """
    built = house()
    path = built.settings.keys
    if status:
        _say_standing(standing(built.database, read_keys(path)))
        return
    with alone(path), _going_on():
        found = _begun(built, path, data_keys=data_keys, finishing=finishing)
        # An embedded installation is one machine, whose processes have seen the new file by themselves.
        is_last = finishing or (found.previous is not None and built.database.is_sqlite)
        if is_last:
            close(built.database, found, built.clock())
        _work(built, found, wait=wait)
        _say_end(built, path, is_last=is_last)


@contextmanager
def _going_on() -> Iterator[None]:
    """Raises `Failed` where the operator stops the work."""
    try:
        yield
    except KeyboardInterrupt:
        raise Failed("Stopped. Nothing is lost; the same command goes on.") from None


def _begun(built: House, path: Path, *, data_keys: bool, finishing: bool) -> Keys:
    """The keys to work with, after a rotation was begun or found under way. Raises `Failed`."""
    found = read_keys(path)
    if found.private is None:
        raise Failed("These keys have no `private` and open nothing; rotate where the whole keys file is.")
    under_way = standing(built.database, found)
    if finishing and not found.previous:
        raise Failed("There is no old pair to let go; nothing was changed.")
    if found.previous or (data_keys and under_way.retired):
        say("going on with the rotation that is under way")
        return found
    if data_keys:
        _say_findings(check_keys(built.database, Vault(built.database, found), found))
        retire_all(built.database, built.clock())
        return found
    with writing(path):
        found = begin(built.database, path, built.clock())
    say(f"wrote {path}: a new key pair and a new index key, and the pair before until all is sealed anew")
    say("make a copy of it now: the copy that you have opens nothing that is sealed from here on")
    return found


def _work(built: House, found: Keys, *, wait: bool) -> None:
    """Seal anew until no retired data key is left, or none that can go. Raises `Failed`."""
    counts = Counter[str]()
    while True:
        left = reseal(built.database, found, built.clock, lambda step, count: counts.update({step: count}))
        forget(built.database, built.clock())
        now = standing(built.database, found)
        if not now.retired or not wait or (left and now.values <= len(left)):
            break
        time.sleep(_seconds(now, built.clock()))
    say(f"sealed anew: {', '.join(f'{count:,} {name}' for name, count in counts.items() if count) or 'nothing'}")
    _say_findings(left)


def _seconds(found: Standing, now: dt.datetime) -> float:
    """How long to wait until old data keys can go; a second where a row that others work on is still to come."""
    return max(1.0, (found.ready_at - now).total_seconds()) if found.ready_at and not found.values else 1.0


def _say_end(built: House, path: Path, *, is_last: bool) -> None:
    with writing(path):
        is_done = finish(built.database, path, built.clock())
    now = standing(built.database, read_keys(path))
    if now.retired or (is_last and not is_done):
        kept = counted(now.retired, "old data key is", "old data keys are")
        say(f"{kept} kept until nobody can be using them; run the same again in some minutes")
    elif not is_done:
        say("now give every web machine its new copy (`digest keys split`), start its processes anew, and then")
        say("`digest keys rotate --finish` lets the old pair go")
    else:
        say("done: what was sealed before opens by the keys of now alone")
        say(f"make a copy of {path}, and destroy the copies from before")


def _say_standing(found: Standing) -> None:
    if found.is_done:
        say("no rotation is under way")
        return
    rows = [
        ("the pair before is open since", f"{found.since:%Y-%m-%d %H:%M} UTC" if found.since else "no other pair"),
        ("old data keys that are to go", found.retired),
        ("values still sealed with them", found.values),
        ("data keys of machines with the old file", found.others),
        ("old data keys can go at", f"{found.ready_at:%Y-%m-%d %H:%M:%S} UTC" if found.ready_at else "–"),
    ]
    print_table(("", ""), rows)
