"""The newsroom's own identity provider: who gets in by it, and every way in which it could be lied about (W-05)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from joserfc.jwk import OctKey

from digest.models import LogEntry, LoginStep, ProviderTie, User
from digest.web.access import people
from digest.web.access.people import Actor
from digest.web.app import Parts
from subscribers.db import Database
from subscribers.keys import Keys
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, PASSWORD, Browser, add_editor, dump, make_client, make_parts, with_login
from tests.web.identity import CLIENT, EC, ED, OTHER, RSA, SECRET, WEAK, Identity, serving_identity
from tests.web.test_second_factor import add_app

GO, BACK = "/desk/login/provider", "/desk/login/provider/return"


@pytest.fixture
def identity(clock: Clock) -> Iterator[Identity]:
    with serving_identity(lambda: clock().timestamp()) as found:
        yield found


def settings_of(identity: Identity, **more: object) -> dict[str, object]:
    return {"issuer": identity.url, "client_id": CLIENT, "client_secret": SECRET, "name": "the newsroom ID", **more}


@pytest.fixture
def parts(sqlite_database: Database, keys: Keys, clock: Clock, identity: Identity) -> Parts:
    made = make_parts(sqlite_database, keys, clock, login={"oidc": settings_of(identity)})
    add_editor(made, "carla", "admin", None)
    return made


@pytest.fixture
def browser(parts: Parts) -> Iterator[Browser]:
    with make_client(parts) as client:
        yield Browser(client)


@pytest.fixture
def by_role(parts: Parts, identity: Identity) -> Iterator[Browser]:
    """Roles come from a claim, and so do accounts."""
    roles = {"desk-chiefs": "publisher", "desk": "editor", "desk-root": "admin"}
    oidc = settings_of(identity, role_claim="groups", roles=roles, unknown="by-role")
    with make_client(with_login(parts, oidc=oidc)) as client:
        yield Browser(client)


def start(browser: Browser, **fields: str) -> str:
    """Press the button; returns where the browser is sent."""
    answer = browser.post(GO, {"next": "", **fields})
    assert answer.status_code == 200, answer.text
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    assert found
    return unescape(found[1])


def log_in(browser: Browser, identity: Identity, **fields: str) -> httpx.Response:
    """There and back, as a browser goes."""
    return come_back(browser, identity.authorize(start(browser, **fields)))


def come_back(browser: Browser, said: dict[str, str]) -> httpx.Response:
    query = "&".join(f"{name}={value}" for name, value in said.items())
    page = browser.client.get(f"{BACK}?{query}", headers={"sec-fetch-site": "cross-site"}, follow_redirects=False)
    assert page.status_code == 200
    fields = {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    }
    return browser.post(BACK, fields)


def tie(parts: Parts, identity: Identity, name: str = "carla", subject: str = "sub-1") -> None:
    with parts.database.write() as session:
        user = session.scalars(sa.select(User.id).where(User.name == name)).one()
        session.add(ProviderTie(issuer=identity.url, subject=subject, user_id=user, created_at=parts.clock()))


def invite(parts: Parts, name: str = "edith", role: str = "editor") -> str:
    """An invitation's token."""
    with parts.database.write() as session:
        by = Actor("operator")
        made = people.invite(session, parts.vault, name, role, None, by=by, now=parts.clock(), base_url=parts.base_url)
    return made.link.rpartition("/")[2]


def reason(parts: Parts) -> str:
    with parts.database.read() as session:
        query = sa.select(LogEntry.detail).where(LogEntry.action == "provider-failed").order_by(LogEntry.id.desc())
        return session.scalars(query).first() or ""


def is_in(browser: Browser) -> bool:
    return browser.get("/desk").status_code == 200


class TestWhoGetsIn:
    def test_whoever_is_tied_comes_in_and_to_the_page_that_was_wanted(self, browser, parts, identity):
        tie(parts, identity)
        assert "Log in with the newsroom ID" in browser.get("/desk/login").text
        assert log_in(browser, identity, next=ISSUE).headers["location"] == ISSUE
        assert "carla" in browser.get("/desk").text
        with parts.database.read() as session:
            entry = session.scalars(sa.select(LogEntry).where(LogEntry.action == "logged-in")).one()
        assert entry.detail == "by the newsroom’s provider"

    def test_what_is_asked_of_the_provider_is_what_the_standard_wants(self, browser, parts):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(start(browser)).query).items()}
        assert asked["redirect_uri"] == f"{parts.base_url}{BACK}"
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) == 43
        # The second log-in of the same browser has others.
        again = parse_qs(urlsplit(start(browser)).query)
        assert again["state"][0] != asked["state"]

    @pytest.mark.parametrize(
        ("algorithm", "key", "kid"), [("RS256", RSA, "rsa"), ("ES256", EC, "ec"), ("EdDSA", ED, "ed")]
    )
    def test_by_every_algorithm_that_is_allowed(self, browser, parts, identity, algorithm, key, kid):
        tie(parts, identity)
        identity.algorithm, identity.key, identity.kid = algorithm, key, kid
        assert log_in(browser, identity).status_code == 303

    def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(self, browser, parts, identity):
        tie(parts, identity)
        identity.discovery["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
        assert log_in(browser, identity).status_code == 303

    def test_whoever_is_not_known_here_does_not_and_nothing_is_made(self, browser, parts, identity):
        before = dump(parts.database)["users"]
        answer = log_in(browser, identity)
        assert answer.status_code == 403
        assert "not at this desk" in answer.text
        assert not is_in(browser)
        assert dump(parts.database)["users"] == before

    def test_an_address_or_a_name_ties_nobody(self, browser, parts, identity):
        """W-05: no linking by e-mail."""
        identity.more = {"email": "anna@newsroom.example", "email_verified": True, "preferred_username": "carla"}
        add_editor(parts, "anna")
        assert log_in(browser, identity).status_code == 403
        assert not is_in(browser)

    def test_an_invitation_ties_and_is_used_up(self, browser, parts, identity):
        token = invite(parts)
        assert 'name="invitation"' in browser.get(f"/desk/invited/{token}").text
        assert log_in(browser, identity, invitation=token).status_code == 303
        assert "edith" in browser.get("/desk").text
        assert browser.get(f"/desk/invited/{token}").status_code == 404
        browser.client.cookies.clear()
        assert log_in(browser, identity).status_code == 303
        identity.subject = "sub-2"
        browser.client.cookies.clear()
        assert log_in(browser, identity, invitation=token).status_code == 403

    def test_a_link_does_not_step_over_a_second_factor(self, browser, parts, identity):
        add_app(parts, "carla")
        with parts.database.write() as session:
            by = Actor("operator")
            made = people.way_in(session, 1, by=by, now=parts.clock(), base_url=parts.base_url)
        assert isinstance(made, people.Invited)
        assert log_in(browser, identity, invitation=made.link.rpartition("/")[2]).status_code == 403

    def test_whoever_is_kept_out_stays_out(self, browser, parts, identity):
        tie(parts, identity)
        with parts.database.write() as session:
            session.execute(sa.update(User).values(disabled_at=parts.clock()))
        assert log_in(browser, identity).status_code == 403


class TestRolesByClaim:
    @pytest.mark.parametrize(
        ("groups", "role"),
        [("desk", "editor"), (["x", "desk", "desk-chiefs"], "publisher"), (["desk", 7, None], "editor")],
    )
    def test_whoever_is_unknown_gets_the_highest_role_that_their_claim_means(
        self, by_role, parts, identity, groups, role
    ):
        identity.more = {"groups": groups, "preferred_username": "Dora@newsroom.example"}
        assert log_in(by_role, identity).status_code == 303
        with parts.database.read() as session:
            user = session.scalars(sa.select(User).where(User.name == "dora")).one()
        assert (user.role, user.password_hash) == (role, None)

    @pytest.mark.parametrize("groups", [None, "", [], ["guests"], {"desk": True}, 7, "desk "])
    def test_a_claim_that_means_nothing_opens_nothing(self, by_role, identity, groups):
        identity.more = {"groups": groups}
        assert log_in(by_role, identity).status_code == 403
        assert not is_in(by_role)

    @pytest.mark.parametrize("called", ["carla", "CARLA", "carla@evil.example", "<script>", "", "../../x", "a" * 500])
    def test_a_name_that_somebody_has_is_not_taken(self, by_role, parts, identity, called):
        identity.more = {"groups": "desk", "preferred_username": called}
        assert log_in(by_role, identity).status_code == 303
        with parts.database.read() as session:
            carla = session.scalars(sa.select(User).where(User.name == "carla")).one()
            assert session.scalar(sa.select(sa.func.count()).select_from(User)) == 2
            assert session.scalar(sa.select(ProviderTie.user_id)) != carla.id
            assert carla.role == "admin"

    def test_another_claim_is_another_role_and_none_is_the_end(self, by_role, parts, identity):
        identity.more = {"groups": "desk"}
        log_in(by_role, identity)
        identity.more = {"groups": "desk-chiefs"}
        log_in(by_role, identity)
        with parts.database.read() as session:
            assert session.scalar(sa.select(User.role).where(User.name == "person")) == "publisher"
        by_role.client.cookies.clear()
        identity.more = {}
        assert log_in(by_role, identity).status_code == 403

    def test_the_last_administrator_is_not_demoted_by_a_claim(self, by_role, parts, identity):
        tie(parts, identity)
        identity.more = {"groups": "desk"}
        assert log_in(by_role, identity).status_code == 303
        with parts.database.read() as session:
            assert session.scalar(sa.select(User.role)) == "admin"


def expired(claims: dict[str, Any]) -> dict[str, Any]:
    return {**claims, "iat": claims["iat"] - 7200, "exp": claims["iat"] - 61}


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def saying(**more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda claims: {**claims, **more}


class TestLies:
    @pytest.mark.parametrize(
        "claims",
        [
            expired,
            saying(nonce="x" * 43),
            without("nonce"),
            saying(nonce=""),
            saying(nonce=["x"]),
            saying(aud="another-client"),
            saying(aud=[CLIENT, "another-client"]),
            saying(aud=[CLIENT, "another-client"], azp=CLIENT),
            saying(aud=[]),
            without("aud"),
            saying(azp="another-client"),
            saying(iss="https://id.evil.example"),
            without("iss"),
            without("sub"),
            saying(sub=""),
            saying(sub=7),
            saying(sub="x" * 256),
            without("exp"),
            saying(exp="tomorrow"),
            saying(iat=4102444800),
            saying(nbf=4102444800),
            saying(at_hash="wrong"),
        ],
    )
    def test_a_claim_that_is_not_for_us_or_not_for_now_opens_nothing(self, browser, parts, identity, claims):
        tie(parts, identity)
        identity.claims = claims
        answer = log_in(browser, identity)
        assert answer.status_code == 403
        assert "The log says why" in answer.text
        assert "token" in reason(parts)
        assert not is_in(browser)

    def test_a_token_without_a_signature_opens_nothing(self, browser, parts, identity):
        """The algorithm `none`."""
        tie(parts, identity)
        identity.algorithm = "none"
        assert log_in(browser, identity).status_code == 403
        assert "signature" in reason(parts)

    def test_the_public_key_is_no_shared_secret(self, browser, parts, identity):
        """HS256 with the public RSA key (CVE-2024-37568)."""
        tie(parts, identity)
        identity.forge = identity.confuse
        assert log_in(browser, identity).status_code == 403
        assert "signature" in reason(parts)

    def test_a_shared_secret_among_the_keys_is_not_used(self, browser, parts, identity):
        tie(parts, identity)
        shared = OctKey.import_key("k" * 64, {"kid": "oct"})
        identity.published.append(shared)
        identity.algorithm, identity.key, identity.kid = "HS256", shared, "oct"
        assert log_in(browser, identity).status_code == 403

    @pytest.mark.parametrize(("key", "kid"), [(OTHER, "rsa"), (OTHER, None), (OTHER, "unknown"), (WEAK, "weak")])
    def test_a_key_that_is_not_the_provider_s_or_is_weak_opens_nothing(self, browser, parts, identity, key, kid):
        tie(parts, identity)
        identity.key, identity.kid = key, kid
        identity.published.append(WEAK)
        assert log_in(browser, identity).status_code == 403
        assert "signature" in reason(parts)

    @pytest.mark.parametrize(
        "forge",
        [
            lambda token: token + "x" * 20_000,
            lambda _token: "x" * 20_000,
            lambda _token: ".".join(["e30"] * 9),
            lambda token: token.replace(".", "", 1),
            lambda _token: "",
            lambda _token: "é" * 10,
        ],
    )
    def test_a_huge_or_broken_token_is_refused_quickly(self, browser, parts, identity, forge):
        """CVE-2025-61920: JOSE of megabytes."""
        tie(parts, identity)
        identity.forge = forge
        assert log_in(browser, identity).status_code == 403
        assert not is_in(browser)

    @pytest.mark.parametrize("path", ["/token", "/keys", "/.well-known/openid-configuration"])
    def test_a_huge_answer_is_not_read(self, browser, parts, identity, path):
        tie(parts, identity)
        identity.sizes[path] = 200_000
        if path.endswith("configuration"):
            assert browser.post(GO, {"next": ""}).status_code == 403
        else:
            assert log_in(browser, identity).status_code == 403
        assert "larger" in reason(parts) or "KB" in reason(parts) or "MB" in reason(parts)

    @pytest.mark.parametrize("path", ["/token", "/keys", "/.well-known/openid-configuration"])
    def test_redirects_are_not_followed(self, browser, parts, identity, path):
        tie(parts, identity)
        identity.redirects[path] = f"{identity.url}/elsewhere"
        if path.endswith("configuration"):
            assert browser.post(GO, {"next": ""}).status_code == 403
        else:
            assert log_in(browser, identity).status_code == 403
        assert "/elsewhere" not in identity.asked
        assert "redirects" in reason(parts)

    def test_a_place_inside_that_the_provider_names_is_not_asked(self, browser, parts, identity):
        """The issuer is the operator's word; what it leads to is not."""
        tie(parts, identity)
        identity.discovery["jwks_uri"] = "http://127.0.0.1:1/keys"
        assert log_in(browser, identity).status_code == 403
        assert "keys" in reason(parts)

    @pytest.mark.parametrize(
        "discovery",
        [
            {"issuer": "https://id.evil.example"},
            {"issuer": None},
            {"token_endpoint": "javascript:alert(1)"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"jwks_uri": None},
        ],
    )
    def test_a_discovery_document_that_is_not_the_issuer_s_is_not_believed(self, browser, identity, discovery):
        identity.discovery = discovery
        assert browser.post(GO, {"next": ""}).status_code == 403

    def test_an_unknown_key_makes_us_ask_again_and_not_more_than_once_a_minute(self, browser, parts, identity, clock):
        tie(parts, identity)
        identity.published.remove(EC)
        assert log_in(browser, identity).status_code == 303
        browser.client.cookies.clear()
        clock.turn(minutes=2)
        identity.published.append(EC)
        identity.algorithm, identity.key, identity.kid = "ES256", EC, "ec"
        assert log_in(browser, identity).status_code == 303
        assert identity.asked.count("/keys") == 2
        browser.client.cookies.clear()
        identity.kid = "unknown"
        for _ in range(3):
            assert log_in(browser, identity).status_code == 403
        assert identity.asked.count("/keys") == 2


class TestTheWayBack:
    def test_looking_at_it_changes_nothing(self, browser, parts, identity):
        tie(parts, identity)
        said = identity.authorize(start(browser))
        before = dump(parts.database)
        browser.get(f"{BACK}?code={said['code']}&state={said['state']}")
        assert dump(parts.database) == before
        assert come_back(browser, said).status_code == 303

    def test_a_state_is_good_once(self, browser, parts, identity):
        tie(parts, identity)
        said = identity.authorize(start(browser))
        step = browser.client.cookies["digest-provider"]
        assert come_back(browser, said).status_code == 303
        browser.client.cookies.clear()
        browser.client.cookies.set("digest-provider", step)
        answer = come_back(browser, said)
        assert (answer.status_code, "came back twice" in answer.text) == (403, True)
        assert not is_in(browser)

    @pytest.mark.parametrize("state", ["", "x" * 43])
    def test_a_wrong_state_opens_nothing_and_uses_the_step_up(self, browser, parts, identity, state):
        tie(parts, identity)
        said = identity.authorize(start(browser))
        assert come_back(browser, {**said, "state": state}).status_code == 403
        assert "state" in reason(parts)
        assert come_back(browser, said).status_code == 403

    def test_what_began_in_another_browser_opens_nothing(self, browser, parts, identity):
        """Log-in CSRF: somebody is not logged in to an attacker's account."""
        tie(parts, identity)
        said = identity.authorize(start(browser))
        with make_client(parts) as client:
            other = Browser(client)
            assert come_back(other, said).status_code == 403
            start(other)
            assert come_back(other, said).status_code == 403
            assert not is_in(other)

    def test_an_answer_of_another_issuer_is_refused(self, browser, parts, identity):
        """The mix-up attack (RFC 9207)."""
        tie(parts, identity)
        said = identity.authorize(start(browser))
        assert come_back(browser, {**said, "iss": "https://id.evil.example"}).status_code == 403
        assert "another provider" in reason(parts)
        said = identity.authorize(start(browser))
        assert come_back(browser, {**said, "iss": identity.url}).status_code == 303

    def test_a_provider_that_always_names_itself_has_to(self, browser, parts, identity):
        tie(parts, identity)
        identity.discovery["authorization_response_iss_parameter_supported"] = True
        assert log_in(browser, identity).status_code == 403
        said = identity.authorize(start(browser))
        assert come_back(browser, {**said, "iss": identity.url}).status_code == 303

    def test_a_code_of_another_log_in_is_refused_by_its_verifier(self, browser, parts, identity):
        """PKCE: a code that was caught elsewhere."""
        tie(parts, identity)
        caught = identity.authorize(start(browser))
        said = identity.authorize(start(browser))
        assert come_back(browser, {**said, "code": caught["code"]}).status_code == 403

    def test_it_is_over_after_ten_minutes(self, browser, parts, identity, clock):
        tie(parts, identity)
        said = identity.authorize(start(browser))
        clock.turn(minutes=10)
        assert come_back(browser, said).status_code == 403

    def test_a_no_of_the_provider_is_no(self, browser, parts, identity):
        said = identity.authorize(start(browser))
        assert come_back(browser, {"error": "access_denied", "state": said["state"]}).status_code == 403
        assert reason(parts) == "The provider said no."

    def test_what_came_back_is_shown_as_text(self, browser):
        page = browser.get(f'{BACK}?code="><script>alert(1)</script>&state=x').text
        assert "<script>alert" not in page

    def test_it_leads_only_to_our_own_pages(self, browser, parts, identity):
        tie(parts, identity)
        assert log_in(browser, identity, next="//evil.example").headers["location"] == "/desk"

    def test_nothing_that_came_or_went_is_in_the_log_or_stays_in_the_database(self, browser, parts, identity):
        tie(parts, identity)
        said = identity.authorize(start(browser))
        come_back(browser, said)
        with parts.database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(LoginStep)) == 0
        rows = repr(dump(parts.database))
        for secret in (*said.values(), SECRET):
            assert secret not in rows


def test_without_the_setting_there_is_no_such_page(sqlite_database: Database, keys: Keys, clock: Clock):
    with make_client(make_parts(sqlite_database, keys, clock)) as client:
        browser = Browser(client)
        assert "provider" not in browser.get("/desk/login").text
        for answer in (browser.post(GO, {"next": ""}), browser.get(BACK), browser.post(BACK, {"code": "x"})):
            assert answer.status_code == 404


def test_where_passwords_are_off_they_open_nothing(parts: Parts, identity: Identity):
    with make_client(with_login(parts, passwords=False, oidc=settings_of(identity))) as client:
        browser = Browser(client)
        assert 'type="password"' not in browser.get("/desk/login").text
        assert browser.log_in("carla", PASSWORD).status_code == 403
        assert not is_in(browser)
        tie(parts, identity)
        assert log_in(browser, identity).status_code == 303
        assert 'type="password"' not in browser.get("/desk/account").text
