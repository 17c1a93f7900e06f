"""Commands about the people of the desk: all that its page does, for whoever sits at a terminal at night."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from sqlalchemy.orm import Session

from digest.cli.context import Failed, Json, app, house, operator
from digest.cli.printing import print_json, print_table, say
from digest.issues.outcomes import Refused
from digest.models import User
from digest.web.access import letters, people
from digest.web.access.people import Actor, Person
from digest.web.accounts import Role, add_user, clean_name, set_password
from digest.wiring import House
from subscribers.forms import BadAddress, parse_address

users = typer.Typer(help="The people of the desk.", no_args_is_help=True)
app.add_typer(users, name="users")

Name = Annotated[str, typer.Argument(help="Who; what they log in with.")]


@users.command("list")
def list_all(as_json: Json = False) -> None:
    """Print who may come to the desk, and how they do."""
    built = house()
    with built.database.read() as session:
        found = people.people(session, built.clock())
    if as_json:
        print_json([_facts(one) for one in found])
        return
    rows = [tuple(_facts(one).values()) for one in found]
    print_table(("name", "role", "state", "password", "app", "passkeys", "recovery codes", "address", "seen"), rows)


def _facts(one: Person) -> dict[str, object]:
    return {
        "name": one.name,
        "role": one.role.value,
        "state": "kept out" if one.disabled_at else "invited" if one.joined_at is None else "in",
        "password": "yes" if one.has_password else "no",
        "app": "yes" if one.factors.codes else "no",
        "passkeys": one.factors.passkeys,
        "recovery codes": one.factors.recovery_codes,
        "address": one.address,
        "seen": f"{one.seen_at:%Y-%m-%d %H:%M} UTC" if one.seen_at else "never",
    }


@users.command()
def invite(
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.EDITOR,
    address: Annotated[
        str | None, typer.Option(help="Where the link goes; without one it is printed, to be handed over.")
    ] = None,
) -> None:
    """Invite somebody: they choose a password or a passkey themselves, by a link that works once."""
    built = house(makes=True)
    now, base_url = built.clock(), built.settings.web.base_url
    built.vault.prepare()
    with built.database.write() as session:
        made = people.invite(
            session, built.vault, name, role.value, address, by=Actor(operator()), now=now, base_url=base_url
        )
        if address:
            paper = next(iter(built.settings.newsletters.values()))
            letters.post_link(
                session, built.outbox, paper, letters.INVITED, made.user_id, name=made.name, link=made.link, now=now
            )
    if address:
        say(f"{made.name} is invited as {role}; a worker (or `digest up`) sends the letter")
    else:
        _print_link(made.name, made.link)


@users.command()
def link(name: Name) -> None:
    """Print a link by which somebody chooses a new password: they have lost theirs, or their invitation is too old."""
    built = house()
    with built.database.write() as session:
        made = people.way_in(
            session,
            _known(session, name),
            by=Actor(operator()),
            now=built.clock(),
            base_url=built.settings.web.base_url,
        )
    if isinstance(made, Refused):
        raise Failed(made.reason)
    _print_link(made.name, made.link)


@users.command()
def first() -> None:
    """Print the link that makes the first account of an empty desk, once more."""
    built = house(makes=True)
    made = people.first_link(built.database, built.clock(), built.settings.web.base_url)
    if made is None:
        raise Failed("The desk has an account already; `digest users list` shows whose.")
    say(f"Make the first account here, within a day: {made}")


@users.command()
def role(name: Name, role: Annotated[Role, typer.Argument(help="What they may do from now on.")]) -> None:
    """Give somebody another role; wherever they are logged in, they are no longer."""
    built = house()
    with built.database.write() as session:
        _settled(people.set_role(session, _known(session, name), role, by=Actor(operator()), now=built.clock()))
    say(f"{name} is {role}")


@users.command()
def disable(name: Name) -> None:
    """Keep somebody out: they are logged out everywhere, and no way in of theirs works."""
    built = house()
    with built.database.write() as session:
        _settled(people.disable(session, _known(session, name), by=Actor(operator()), now=built.clock()))
    say(f"{name} may not come in any more")


@users.command()
def enable(name: Name) -> None:
    """Let somebody in again, as they came in before."""
    built = house()
    with built.database.write() as session:
        people.enable(session, _known(session, name), by=Actor(operator()), now=built.clock())
    say(f"{name} may come in again")


@users.command("reset-factor")
def reset_factor(name: Name) -> None:
    """Forget somebody's app, passkeys and recovery codes: the phone is lost. Their password stays."""
    built = house()
    with built.database.write() as session:
        people.reset_factors(session, _known(session, name), by=Actor(operator()), now=built.clock())
    say(f"{name} has no second factor any more, and is logged out everywhere")


@users.command("end-sessions")
def end_sessions(name: Name) -> None:
    """Log somebody out everywhere."""
    built = house()
    with built.database.write() as session:
        ended = people.end_their_sessions(session, _known(session, name), by=Actor(operator()), now=built.clock())
    say(f"{name} is logged out; sessions ended: {ended}")


@users.command("take-back")
def take_back(name: Name) -> None:
    """Take the invitation of somebody back who never came."""
    built = house()
    with built.database.write() as session:
        _settled(people.take_back(session, _known(session, name), by=Actor(operator()), now=built.clock()))
    say(f"the invitation of {name} is taken back")


def _known(session: Session, name: str) -> int:
    """The id of somebody. Raises `Failed`."""
    found: int | None = session.scalar(sa.select(User.id).where(User.name == clean_name(name)))
    if found is None:
        raise Failed(f"There is no desk user {name!r}.")
    return found


def _settled(result: Refused | None) -> None:
    if result is not None:
        raise Failed(result.reason)


def _print_link(name: str, made: str) -> None:
    say(f"For {name} alone; it works once, within three days:")
    say(made)


@users.command("add")
def add_one(
    name: Annotated[str, typer.Argument(help="What they log in with.")],
    address: Annotated[str | None, typer.Option(help="Where test-sends and reminders go.")] = None,
    role: Annotated[
        Role | None,
        typer.Option(
            help="What they may do; publishers and admins approve and send. Not given: the first one of an empty desk "
            "is an admin, everybody after is an editor."
        ),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; else DIGEST_USER_PASSWORD, else it is asked for.")
    ] = None,
) -> None:
    """Add somebody to the desk."""
    built = house(makes=True)
    _check_new(built, name, address)
    password = _password(password_file)
    built.vault.prepare()
    with built.database.write() as session:
        chosen = role or _role_of_next(session)
        user = add_user(session, built.vault, name, password, chosen.value, address, built.clock(), who=operator())
    say(f"{user.name} may log in at {built.settings.web.base_url}/desk/ as {user.role}")
    if role is None and chosen is Role.ADMIN:
        say("As the desk's first user they may do everything; later ones are editors, unless --role is given.")


def _check_new(built: House, name: str, address: str | None) -> None:
    """See to it that nobody thinks up a password in vain. Raises `BadAccount` or `Failed`."""
    if isinstance(parsed := parse_address(address) if address is not None else None, BadAddress):
        raise Failed(parsed.reason)
    if _id_of(built, clean_name(name)) is not None:
        raise Failed(f"There is already somebody called {clean_name(name)!r}.")


def _id_of(built: House, name: str) -> int | None:
    with built.database.read() as session:
        found: int | None = session.scalar(sa.select(User.id).where(User.name == name))
        return found


def _role_of_next(session: Session) -> Role:
    anybody = session.scalar(sa.select(sa.exists().where(User.id.is_not(None))))
    return Role.EDITOR if anybody else Role.ADMIN


@users.command("password")
def change_password(
    name: Annotated[str, typer.Argument(help="Whose password.")],
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; else DIGEST_USER_PASSWORD, else it is asked for.")
    ] = None,
) -> None:
    """Give somebody of the desk a new password; wherever they are logged in, they are no longer."""
    built = house()
    user_id = _id_of(built, clean_name(name))
    if user_id is None:
        raise Failed(f"There is no desk user {name!r}.")
    password = _password(password_file)
    with built.database.write() as session:
        set_password(session, user_id, password, operator(), built.clock())
    say(f"{name} has a new password")


def _password(path: Path | None) -> str:
    if path:
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Failed(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise Failed(f"{path} is not text in UTF-8.") from error
    if given := os.environ.get("DIGEST_USER_PASSWORD"):
        return given
    if not sys.stdin.isatty():
        raise Failed("There is no terminal to ask for a password; give --password-file or DIGEST_USER_PASSWORD.")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked
