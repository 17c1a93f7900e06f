"""Accounts: passwords that are worth something, names that are no addresses, and nothing in plain text."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from digest.models import DeskSession, LogEntry, User
from digest.web.accounts import BadAccount, Role, add_user, check_password, clean_name, set_password
from digest.web.sessions import ABSOLUTE, IDLE, find_visitor, open_session
from subscribers.db import Database
from subscribers.keys import Keys
from subscribers.vault import USER_ADDRESS, Vault
from tests.web.house import ADDRESS, PASSWORD


@pytest.fixture
def anna(database: Database, keys: Keys, now: dt.datetime) -> int:
    vault = Vault(database, keys)
    vault.prepare()
    with database.write() as session:
        return add_user(session, vault, "Anna", PASSWORD, "editor", ADDRESS, now).id


def add(database: Database, keys: Keys, now: dt.datetime, **given: str) -> None:
    given = {"name": "boris", "password": PASSWORD, "role": "editor", "address": "boris@newsroom.example", **given}
    vault = Vault(database, keys)
    vault.prepare()
    with database.write() as session:
        add_user(session, vault, now=now, **given)


def test_the_right_password_opens_and_a_wrong_one_does_not(database: Database, anna: int):
    assert check_password(database, "anna", PASSWORD) == anna
    assert check_password(database, " ANNA ", PASSWORD) == anna
    for name, password in [("anna", "wrong"), ("anna", ""), ("nobody", PASSWORD), ("anna", PASSWORD + "x" * 500)]:
        assert check_password(database, name, password) is None


def test_no_column_holds_the_password_or_the_address(database: Database, keys: Keys, anna: int):
    with database.read() as session:
        user = session.get_one(User, anna)
        assert user.address_sealed is not None
        row = " ".join(str(value) for value in vars(user).values())
        opened = Vault(database, keys).open(user.address_sealed, USER_ADDRESS, user.public_id)
    assert PASSWORD not in row
    assert ADDRESS not in row
    assert row.count("$argon2id$") == 1
    assert opened == ADDRESS


@pytest.mark.usefixtures("slow_passwords")
def test_an_older_hash_is_renewed_when_somebody_logs_in(database: Database, anna: int):
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with database.write() as session:
        session.execute(sa.update(User).values(password_hash=weak))
    assert check_password(database, "anna", "wrong") is None
    with database.read() as session:
        assert session.scalar(sa.select(User.password_hash)) == weak
    assert check_password(database, "anna", PASSWORD) == anna
    with database.read() as session:
        renewed = session.scalar(sa.select(User.password_hash)) or ""
    assert not PasswordHasher().check_needs_rehash(renewed)
    assert check_password(database, "anna", PASSWORD) == anna


def test_a_damaged_hash_lets_nobody_in(database: Database, anna: int):
    with database.write() as session:
        session.execute(sa.update(User).values(password_hash="plain"))
    assert check_password(database, "anna", "plain") is None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"password": "short"}, "12 to 128"),
        ({"password": "x" * 129}, "12 to 128"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "too easy"),
        ({"password": "boris-boris-1"}, "too easy"),
        ({"name": "boris@newsroom.example"}, "not an e-mail address"),
        ({"name": ""}, "A name has"),
        ({"name": "x" * 65}, "A name has"),
        ({"role": "owner"}, "viewer, editor, publisher, admin"),
        ({"address": "not an address"}, "@"),
        ({"name": "ANNA"}, "already somebody"),
    ],
)
def test_a_bad_account_is_refused_with_a_sentence(
    database: Database, keys: Keys, anna: int, now: dt.datetime, wrong: dict[str, str], sentence: str
):
    with pytest.raises(BadAccount, match=sentence):
        add(database, keys, now, **wrong)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count(User.id))) == 1


def test_names_of_any_script_are_kept_in_one_form():
    assert clean_name("  Ａnna ") == "anna"
    assert clean_name("Ольга.К") == "ольга.к"
    for bad in ("a b", "-a", "a.", "<b>", "a\nb"):
        with pytest.raises(BadAccount):
            clean_name(bad)


def test_roles_cover_those_below_them():
    assert Role.ADMIN.covers(Role.VIEWER)
    assert Role.EDITOR.covers(Role.EDITOR)
    assert not Role.VIEWER.covers(Role.EDITOR)


def test_a_session_ends_after_a_rest_and_at_the_latest_after_its_day(database: Database, anna: int, now: dt.datetime):
    with database.write() as session:
        session_id = open_session(session, anna, now)
    assert find_visitor(database, session_id, now + IDLE) is None
    at = now
    while at - now < ABSOLUTE - dt.timedelta(minutes=20):
        at += dt.timedelta(minutes=20)
        assert find_visitor(database, session_id, at) is not None
    assert find_visitor(database, session_id, now + ABSOLUTE) is None


def test_the_database_does_not_hold_the_id_of_a_session(database: Database, anna: int, now: dt.datetime):
    with database.write() as session:
        session_id = open_session(session, anna, now)
    with database.read() as session:
        row = session.execute(sa.select(sa.inspect(DeskSession).local_table)).one()
    assert session_id not in repr(row)
    assert find_visitor(database, row.id_hash.hex(), now) is None


def test_a_new_password_ends_every_session_of_its_owner_alone(
    database: Database, keys: Keys, anna: int, now: dt.datetime
):
    add(database, keys, now)
    with database.write() as session:
        boris = session.scalars(sa.select(User.id).where(User.name == "boris")).one()
        mine = [open_session(session, anna, now) for _ in range(3)]
        his = open_session(session, boris, now)
        set_password(session, anna, "another quiet evening sea", "anna", now)
    assert [find_visitor(database, one, now) for one in mine] == [None] * 3
    assert find_visitor(database, his, now) is not None
    assert check_password(database, "anna", "another quiet evening sea") == anna
    assert check_password(database, "anna", PASSWORD) is None
    with database.read() as session:
        assert session.scalars(sa.select(LogEntry.action).order_by(LogEntry.id.desc())).first() == "password-changed"


def test_sessions_that_are_over_are_swept_away_at_the_next_log_in(database: Database, anna: int, now: dt.datetime):
    with database.write() as session:
        open_session(session, anna, now)
    with database.write() as session:
        open_session(session, anna, now + dt.timedelta(days=1))
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(DeskSession)) == 1
