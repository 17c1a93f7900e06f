"""The attack classes of other newsletter systems that touch getting in (email.md §7.6), by their names.

Some have their tests where the feature has: fixed sessions in test_login, sessions that outlive a password or a role
in test_account and test_people, the skipped second factor in test_second_factor, markup in names in test_people.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from digest.models import User
from digest.web import accounts
from digest.web.access import codes, people
from digest.web.access.links import LinkKind, make_link
from digest.web.access.people import Actor
from digest.web.app import Parts, create_app
from digest.web.door import RULE, SAFE, Door
from subscribers.db import Database
from subscribers.keys import Keys
from subscribers.vault import Vault
from tests.subscribers.house import Clock
from tests.subscribers.test_timing import agreed
from tests.web.house import PASSWORD, Browser, add_editor, dump
from tests.web.test_door import filled, handlers


class TestForgedRequests:
    """CSRF (listmonk CVE-2025-58430), also where there is no session yet that a token could belong to."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ],
    )
    def test_no_form_before_the_log_in_is_taken_from_another_site(self, browser: Browser, parts: Parts, headers):
        before, tried = dump(parts.database), 0
        for path, method, handler in handlers(create_app(parts)):
            if handler.opt[RULE] is not Door.LOGIN or method in SAFE:
                continue
            fields = {
                "name": "anna",
                "password": PASSWORD,
                "new": PASSWORD,
                "again": PASSWORD,
                "code": "1",
                "answer": "x",
            }
            answer = browser.post(filled(path), fields, **headers)
            assert answer.status_code == 403, path
            assert "set-cookie" not in answer.headers, path
            tried += 1
        assert tried >= 9
        assert dump(parts.database) == before


class TestEnumeration:
    """Ghost CVE-2022-41697, Mautic CVE-2025-9824: who has an account is not to be seen, nor to be measured."""

    @pytest.fixture
    def known(self, parts: Parts, clock: Clock) -> Parts:
        add_editor(parts, "boris", "editor", None)
        with parts.database.write() as session:
            by = Actor("operator")
            people.invite(session, parts.vault, "edith", "editor", None, by=by, now=clock(), base_url="http://x")
            boris = session.scalars(sa.select(User.id).where(User.name == "boris")).one()
            people.disable(session, boris, by=by, now=clock())
        return parts

    NAMES = ("anna", "boris", "edith", "nobody", "")

    @pytest.mark.usefixtures("known")
    def test_every_name_gets_the_same_answer(self, browser: Browser):
        pages = {browser.log_in(name, "not the right one").text.replace(f'value="{name}"', "") for name in self.NAMES}
        # Where a name stands, the password field has the focus; that is about what was typed, not about what is known.
        assert len({page.replace(" autofocus", "") for page in pages}) == 1

    @pytest.mark.usefixtures("slow_passwords")
    def test_every_name_costs_one_hash(self, known: Parts, monkeypatch: pytest.MonkeyPatch):
        real, looked = accounts._fits, list[str]()

        def counted(hashed: str, password: str) -> bool:
            looked.append(hashed.rpartition("$")[0].rpartition("$")[0])
            return real(hashed, password)

        monkeypatch.setattr(accounts, "_fits", counted)
        for name in self.NAMES:
            assert accounts.check_password(known.database, name, "not the right one") is None
        assert len(looked) == len(self.NAMES)
        assert len(set(looked)) == 1

    @pytest.mark.usefixtures("slow_passwords")
    def test_the_time_does_not_tell_either(self, known: Parts):
        def trying(name: str) -> Callable[[], object]:
            return lambda: accounts.check_password(known.database, name, "not the right one")

        for name in ("nobody", "edith"):
            assert agreed(trying("anna"), trying(name), pairs=20) == []

    @pytest.mark.parametrize("page", ["invited", "address", "first"])
    def test_a_wrong_link_and_a_link_that_is_over_are_the_same_page(
        self, browser: Browser, known: Parts, clock: Clock, page: str
    ):
        kind = {"invited": LinkKind.WAY_IN, "address": LinkKind.ADDRESS, "first": LinkKind.FIRST}[page]
        with known.database.write() as session:
            link = make_link(session, kind, 1, clock(), base_url="")
        clock.turn(hours=73)
        over, wrong = browser.get(link), browser.get(f"/desk/{page}/{'x' * 43}")
        assert over.status_code == wrong.status_code == 404
        assert over.text == wrong.text


class TestLooseComparison:
    """phpList CVE-2020-8547: hashes that look like numbers were equal to each other."""

    @pytest.mark.parametrize("typed", ["0e462097431906509019562988736854", "0", "240610708", "", "true", "0e0"])
    def test_what_looks_like_a_number_is_no_password(
        self, database: Database, keys: Keys, now: dt.datetime, typed: str
    ):
        with database.write() as session:
            accounts.add_user(session, Vault(database, keys), "anna", PASSWORD, "admin", None, now)
            for stored in ("0e830400451993494058024219903391", "0", ""):
                session.execute(sa.update(User).values(password_hash=stored))
        assert accounts.check_password(database, "anna", typed) is None

    @pytest.mark.parametrize(
        "typed", ["", "0", "00000000000000000", "٠١٢٣٤٥", "1e5", " 123456 7", "-123456", "123456\n1"]
    )
    def test_what_looks_like_a_code_is_none(self, parts: Parts, typed: str):
        with parts.database.write() as session:
            codes.begin_enrolment(session, parts.secret_box, 1, parts.clock())
            assert not codes.confirm_enrolment(session, parts.secret_box, 1, typed, parts.clock())
            codes.new_recovery_codes(session, 1)
            assert codes.check_code(session, parts.secret_box, 1, typed, parts.clock()) is None


def test_a_name_is_one_person_however_it_is_written(parts: Parts, clock: Clock):
    """Two spellings that look alike to people must not be two accounts."""
    with parts.database.write() as session:
        for name in ("ANNA", " anna ", "\uff41nna"):
            with pytest.raises(accounts.BadAccount, match="already somebody"):
                people.invite(
                    session, parts.vault, name, "admin", None, by=Actor("x"), now=clock(), base_url="http://x"
                )
