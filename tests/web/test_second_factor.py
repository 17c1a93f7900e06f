"""The second factor: asked for by the account's own state, taken once, and skipped by nothing."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Iterator

import pyotp
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from digest.models import DeskSession, LogEntry, LoginStep, RecoveryCode, StepKind, TotpSecret, User
from digest.web.access import codes, waiting
from digest.web.access.steps import Factors, Next, Proof, next_step
from digest.web.accounts import Role, set_password
from digest.web.app import Parts
from subscribers.db import Database
from subscribers.keys import Keys, make_keys
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, PASSWORD, Browser, add_editor, dump, make_client, with_login

SECRET = b"12345678901234567890"
RFC_6238 = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}
"""The test vectors of RFC 6238, appendix B, for SHA-1; the last six of their eight figures."""


def add_app(parts: Parts, name: str = "anna") -> bytes:
    """Give somebody an app whose secret the test knows, and recovery codes that it does not."""
    with parts.database.write() as session:
        user = session.scalars(sa.select(User).where(User.name == name)).one()
        sealed = parts.secret_box.seal(SECRET, user.public_id)
        session.add(
            TotpSecret(user_id=user.id, secret_sealed=sealed, created_at=parts.clock(), confirmed_at=parts.clock())
        )
    return SECRET


def code_at(now: dt.datetime, secret: bytes = SECRET) -> str:
    return pyotp.TOTP(base64.b32encode(secret).decode()).at(now)


@pytest.fixture
def guarded(parts: Parts, browser: Browser) -> Browser:
    """Anna has an app; nobody is logged in."""
    add_app(parts)
    return browser


@pytest.mark.parametrize(("seconds", "code"), RFC_6238.items())
def test_the_codes_are_those_of_the_standard(parts: Parts, seconds: int, code: str):
    add_app(parts)
    now = dt.datetime.fromtimestamp(seconds, dt.UTC)
    with parts.database.write() as session:
        assert codes.check_code(session, parts.secret_box, 1, code, now) is Proof.CODE


@given(
    proof=st.sampled_from(Proof),
    role=st.sampled_from(Role),
    factors=st.builds(Factors, st.booleans(), st.integers(0, 3), st.integers(0, 10)),
    demanded=st.frozensets(st.sampled_from(Role)),
)
def test_a_password_alone_opens_only_where_nothing_more_is_there_or_asked(proof, role, factors, demanded):
    step = next_step(proof, role, factors, demanded)
    if proof is Proof.PASSWORD and (factors.any or role in demanded):
        assert step is (Next.SECOND if factors.any else Next.ENROL)
    else:
        assert step is Next.IN


def test_after_the_password_comes_the_code_and_then_the_wanted_page(guarded: Browser, clock: Clock):
    answer = guarded.log_in(next=ISSUE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/login/second")
    assert [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")] == ["digest-step"]
    assert guarded.get("/desk").status_code == 303
    assert "six figures" in guarded.get("/desk/login/second").text
    answer = guarded.post("/desk/login/second", {"code": code_at(clock())})
    assert (answer.status_code, answer.headers["location"]) == (303, ISSUE)
    assert guarded.get("/desk").status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"code": ""},
        {"code": "000000"},
        {"skip": "true"},
        {"skipEmailVerification": "true"},
        {"second": "done", "is_strong": "1"},
        {"code": "000000", "step": "in"},
        {"kind": "passkey", "user_id": "1"},
    ],
)
def test_no_parameter_skips_the_second_factor(guarded: Browser, parts: Parts, fields: dict[str, str]):
    """CVE-2026-22594."""
    guarded.log_in(**{name: value for name, value in fields.items() if name != "code"})
    for path in ("/desk/login/second", "/desk/login/enrol", "/desk/login"):
        guarded.post(path, {"name": "anna", **fields})
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    assert guarded.get(f"/desk?{query}").status_code == 303
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(DeskSession)) == 0


def test_a_half_done_log_in_opens_no_page_and_no_button(guarded: Browser, parts: Parts):
    guarded.log_in()
    step = guarded.client.cookies["digest-step"]
    guarded.client.cookies.set("digest", step)
    before = dump(parts.database)
    assert guarded.get(ISSUE).status_code == 303
    assert guarded.post(f"{ISSUE}/approve", {"csrf": step, "revision": "1"}).status_code == 401
    assert guarded.get("/desk/login/enrol").headers["location"] == "/desk/login?done=over"
    assert dump(parts.database) == before


def test_a_half_done_log_in_belongs_to_one_browser(guarded: Browser, parts: Parts, clock: Clock):
    guarded.log_in()
    with make_client(parts) as client:
        other = Browser(client)
        answer = other.post("/desk/login/second", {"code": code_at(clock())})
        assert answer.headers["location"] == "/desk/login?done=over"
        assert other.get("/desk").status_code == 303


def test_a_half_done_log_in_is_over_after_ten_minutes(guarded: Browser, clock: Clock):
    guarded.log_in()
    clock.turn(minutes=10)
    assert guarded.post("/desk/login/second", {"code": code_at(clock())}).headers["location"].endswith("done=over")


def test_a_half_done_log_in_is_used_once(guarded: Browser, clock: Clock):
    guarded.log_in()
    step = guarded.client.cookies["digest-step"]
    guarded.post("/desk/login/second", {"code": code_at(clock())})
    guarded.client.cookies.clear()
    guarded.client.cookies.set("digest-step", step)
    clock.turn(seconds=30)
    assert guarded.post("/desk/login/second", {"code": code_at(clock())}).headers["location"].endswith("done=over")


def test_a_code_is_taken_once_and_so_is_none_before_it(guarded: Browser, parts: Parts, clock: Clock):
    """RFC 6238 §5.2: a code that somebody looked at over a shoulder is worth nothing."""
    now = clock()
    with parts.database.write() as session:
        check = [
            codes.check_code(session, parts.secret_box, 1, code_at(now + dt.timedelta(seconds=30 * ahead)), now)
            for ahead in (0, 0, -1, 1, 1, 0)
        ]
    assert check == [Proof.CODE, None, None, Proof.CODE, None, None]


def test_a_clock_may_be_wrong_by_one_step_and_no_more(guarded: Browser, parts: Parts, clock: Clock):
    now = clock()
    for ahead, right in ((-2, False), (2, False), (-1, True), (1, True)):
        with parts.database.write() as session:
            typed = code_at(now + dt.timedelta(seconds=30 * ahead))
            assert (codes.check_code(session, parts.secret_box, 1, typed, now) is Proof.CODE) is right


def test_two_at_once_with_one_code_are_one_log_in(database: Database, keys: Keys, now: dt.datetime):
    """On both databases: the statement that takes the code is the one that decides."""
    box = codes.SecretBox(keys.token)
    with database.write() as session:
        user = User(public_id=b"x" * 16, name="anna", role="admin", created_at=now, joined_at=now)
        session.add(user)
        session.flush()
        sealed = box.seal(SECRET, user.public_id)
        session.add(TotpSecret(user_id=user.id, secret_sealed=sealed, created_at=now, confirmed_at=now))
        user_id = user.id
    taken = []
    for _ in range(2):
        with database.write() as session:
            taken.append(codes.check_code(session, box, user_id, code_at(now), now))
    assert taken == [Proof.CODE, None]


def test_too_many_wrong_codes_begin_the_log_in_anew(guarded: Browser, parts: Parts, clock: Clock):
    guarded.log_in()
    answers = []
    for _ in range(5):
        answers.append(guarded.post("/desk/login/second", {"code": "000000"}))
        clock.turn(minutes=1)
    assert [answer.status_code for answer in answers] == [403, 403, 403, 403, 303]
    assert guarded.post("/desk/login/second", {"code": code_at(clock())}).headers["location"].endswith("done=over")


def test_guessing_codes_waits_longer_and_longer_whatever_passwords_come_between(guarded: Browser, clock: Clock):
    statuses = []
    for _ in range(6):
        assert guarded.log_in().status_code == 303
        statuses.append(guarded.post("/desk/login/second", {"code": "000000"}).status_code)
    assert statuses == [403, 403, 403, 429, 429, 429]


def test_a_recovery_code_stands_in_once(guarded: Browser, parts: Parts, clock: Clock):
    with parts.database.write() as session:
        first, *rest = codes.new_recovery_codes(session, 1)
    assert len({first, *rest}) == 10
    guarded.log_in()
    assert guarded.post("/desk/login/second", {"code": f"  {first.upper()} "}).headers["location"] == "/desk"
    guarded.client.cookies.clear()
    guarded.log_in()
    assert guarded.post("/desk/login/second", {"code": first}).status_code == 403
    with parts.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(RecoveryCode)) == 9
        said = session.scalars(sa.select(LogEntry.detail).where(LogEntry.action == "recovery-code")).all()
    assert said == ["9 left"]


def test_new_recovery_codes_end_the_old_ones(parts: Parts, clock: Clock):
    add_app(parts)
    with parts.database.write() as session:
        old = codes.new_recovery_codes(session, 1)
        new = codes.new_recovery_codes(session, 1)
        assert codes.check_code(session, parts.secret_box, 1, old[0], clock()) is None
        assert codes.check_code(session, parts.secret_box, 1, new[0], clock()) is Proof.RECOVERY


def test_nothing_in_the_database_makes_a_code(parts: Parts, clock: Clock):
    add_app(parts)
    with parts.database.write() as session:
        shown = codes.new_recovery_codes(session, 1)
    rows = repr(dump(parts.database))
    for secret in (SECRET, base64.b32encode(SECRET), *(code.replace("-", "").encode() for code in shown)):
        assert secret.decode() not in rows
    other = codes.SecretBox(make_keys().token)
    with parts.database.read() as session:
        sealed = session.scalars(sa.select(TotpSecret.secret_sealed)).one()
        owner = session.scalars(sa.select(User.public_id)).one()
    assert other.open(sealed, owner) is None
    assert parts.secret_box.open(sealed, b"y" * 16) is None
    assert parts.secret_box.open(sealed, owner) == SECRET


def test_with_another_token_key_a_code_is_refused_and_a_recovery_code_still_works(guarded: Browser, parts: Parts):
    with parts.database.write() as session:
        first = codes.new_recovery_codes(session, 1)[0]
        session.execute(sa.update(TotpSecret).values(secret_sealed=b"\0" * 48))
    guarded.log_in()
    assert guarded.post("/desk/login/second", {"code": "123456"}).status_code == 403
    assert guarded.post("/desk/login/second", {"code": first}).status_code == 303


class TestARoleThatNeedsOne:
    @pytest.fixture
    def strict(self, parts: Parts) -> Iterator[Browser]:
        with make_client(with_login(parts, second_factor=["publisher", "admin"])) as client:
            yield Browser(client)

    def test_it_is_set_up_at_the_log_in_and_the_codes_are_shown_once(self, strict: Browser, clock: Clock):
        assert strict.log_in(next=ISSUE).headers["location"] == "/desk/login/enrol"
        assert strict.get("/desk").status_code == 303
        page = strict.get("/desk/login/enrol").text
        secret = base64.b32decode("".join(re.findall(r"<span>([A-Z2-7]{4})</span>", page)))
        assert 'src="data:image/svg+xml' in page
        assert strict.post("/desk/login/enrol", {"code": "000000"}).status_code == 403
        answer = strict.post("/desk/login/enrol", {"code": code_at(clock(), secret)})
        assert answer.status_code == 200
        assert len(re.findall(r"<li>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</li>", answer.text)) == 10
        assert f'href="{ISSUE}"' in answer.text
        assert strict.get("/desk").status_code == 200
        # Whoever knows the password finds no second way to set one up.
        strict.client.cookies.clear()
        assert strict.log_in().headers["location"] == "/desk/login/second"
        assert strict.post("/desk/login/second", {"code": code_at(clock(), secret)}).status_code == 403
        clock.turn(seconds=30)
        assert strict.post("/desk/login/second", {"code": code_at(clock(), secret)}).status_code == 303

    def test_it_counts_only_once_a_code_was_shown(self, strict: Browser, parts: Parts):
        strict.log_in()
        strict.client.cookies.clear()
        assert strict.log_in().headers["location"] == "/desk/login/enrol"
        with parts.database.read() as session:
            assert session.scalars(sa.select(TotpSecret.confirmed_at)).one() is None

    def test_other_roles_come_in_as_before(self, strict: Browser, parts: Parts):
        add_editor(parts, "edith", "editor")
        assert strict.log_in("edith").headers["location"] == "/desk"

    def test_a_session_from_before_the_rule_is_not_strong_enough(self, desk: Browser, parts: Parts):
        with make_client(with_login(parts, second_factor=["publisher"])) as client:
            client.cookies.set("digest", desk.client.cookies["digest"])
            assert Browser(client).get("/desk").status_code == 303


def test_a_new_password_ends_what_is_half_done(guarded: Browser, parts: Parts, clock: Clock):
    guarded.log_in()
    with parts.database.write() as session:
        set_password(session, 1, "a different sentence now", "operator", clock())
    assert guarded.post("/desk/login/second", {"code": code_at(clock())}).headers["location"].endswith("done=over")


def test_what_is_half_done_is_swept_away(database: Database, now: dt.datetime):
    with database.write() as session:
        for kind in StepKind:
            waiting.begin(session, kind, now)
        assert session.scalar(sa.select(sa.func.count()).select_from(LoginStep)) == len(StepKind)
        waiting.begin(session, StepKind.SECOND, now + dt.timedelta(hours=1))
        assert session.scalar(sa.select(sa.func.count()).select_from(LoginStep)) == 1


def test_a_log_in_says_in_the_log_how_it_was_done(guarded: Browser, parts: Parts, clock: Clock):
    guarded.log_in(password=PASSWORD)
    guarded.post("/desk/login/second", {"code": code_at(clock())})
    with parts.database.read() as session:
        entry = session.scalars(sa.select(LogEntry).where(LogEntry.action == "logged-in")).one()
    assert (entry.who, entry.detail) == ("anna", "by password and code")
