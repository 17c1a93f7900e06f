"""The preview: nothing runs, nothing foreign loads but the pictures, no reader's link is in it (W-12)."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import undefer_group

from digest.issues.seen import without_readers
from digest.mail.compose import NOBODY
from digest.mail.issue_work import editions_of
from digest.mail.kinds import KINDS
from digest.mail.looks import Colours, Look, in_look
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered
from digest.models import RENDERINGS, Issue, Post
from digest.web.app import Parts
from digest.web.headers import mail_policy
from subscribers.tokens import Links
from tests.web.house import BASE_URL, ISSUE, NAME, Browser, add_posts, the_issue

DOCUMENT = f"/desk/preview/{NAME}.html"


def directives(policy: str) -> dict[str, str]:
    return {name: rest for name, _, rest in (part.strip().partition(" ") for part in policy.split(";"))}


def test_the_document_has_a_policy_of_its_own_and_is_not_kept(desk: Browser):
    answer = desk.get(DOCUMENT)
    assert directives(answer.headers["content-security-policy"]) == {
        "default-src": "'none'",
        "img-src": "'none'",
        "style-src": "'unsafe-inline'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'self'",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_only_the_hosts_of_the_issue_s_own_pictures_are_let_in(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(Post).values(image_url="https://img.example.org/a.jpg?x=1&y=2", image_alt="A court"))
    policy = directives(desk.get(DOCUMENT).headers["content-security-policy"])
    assert policy["img-src"] == "https://img.example.org"


@pytest.mark.parametrize(
    "source",
    [
        "https://x.example; script-src *",
        "javascript:alert(1)",
        "data:image/png,x",
        "//x.example/a",
        "https://a b.example/",
    ],
)
def test_a_picture_s_address_says_nothing_else_in_the_policy(source: str):
    assert directives(mail_policy(f'<img alt="" src="{source}">', framed=True))["img-src"] in (
        "'none'",
        "https://x.example",
    )


def test_every_frame_is_a_sandbox_without_scripts_and_without_our_origin(desk: Browser):
    for page in (ISSUE, f"{ISSUE}/preview?width=500", f"{ISSUE}/preview/sheet"):
        frames = re.findall(r"<iframe\b[^>]*>", desk.get(page).text)
        assert frames
        for frame in frames:
            sandbox = re.search(r'sandbox="([^"]*)"', frame)
            assert sandbox
            assert set(sandbox[1].split()) <= {"allow-popups", "allow-popups-to-escape-sandbox"}


def test_no_slot_and_no_reader_s_link_is_in_the_preview(desk: Browser):
    for path in (DOCUMENT, f"{ISSUE}/preview", f"{ISSUE}/preview/sheet"):
        text = desk.get(path).text
        assert UNSUBSCRIBE_SLOT not in text
        assert MANAGE_SLOT not in text
        assert "/u/" not in text
        assert f"{BASE_URL}/example-link" in text
    assert "is an example" in desk.get("/example-link").text


def test_the_preview_shows_the_issue_as_it_stands_and_afterwards_what_was_sent(desk: Browser, parts: Parts):
    desk.press("save", introduction="Words for the preview.")
    assert "Words for the preview." in desk.get(DOCUMENT).text
    assert "Words for the preview." in desk.get(f"{ISSUE}/preview").text
    desk.press("approve")
    desk.press("send")
    with parts.database.write() as session:
        session.execute(sa.update(Post).values(title="Changed afterwards"))
    sent = the_issue(parts).rendered_html or ""
    link = f"{BASE_URL}/example-link"
    assert desk.get(DOCUMENT).text == sent.replace(UNSUBSCRIBE_SLOT, link).replace(MANAGE_SLOT, link)


def test_the_preview_is_of_the_kind_of_reader_that_is_chosen(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(Post).values(body="<p>The story in its own words.</p>"))
    assert "The story in its own words." not in desk.get(DOCUMENT).text
    assert "The story in its own words." in desk.get(f"{DOCUMENT}?format=full").text
    page = desk.get(f"{ISSUE}/preview?format=full&subject=neutral").text
    assert f"{NAME}.html?format=full&amp;subject=neutral&amp;look=light" in page
    assert re.search(r'value="full" checked', page)
    assert "<dd>Weekly digest</dd>" in page
    assert "Your weekly mail is here" in page
    alone = desk.get(f"{ISSUE}/preview?format=text").text
    assert "<iframe" not in alone
    assert "No HTML" in alone
    assert 'value="summaries" checked' in desk.get(f"{ISSUE}/preview?format=%3Cscript%3E&subject=x").text


def test_once_out_the_preview_shows_each_kind_as_it_was_sent(desk: Browser, parts: Parts):
    desk.press("approve")
    desk.press("send")
    with parts.database.write() as session:
        sent = session.get_one(Issue, the_issue(parts).id).rendered_neutral_full_html or ""
        session.execute(sa.update(Post).values(body="<p>Changed afterwards.</p>"))
    link = f"{BASE_URL}/example-link"
    shown = desk.get(f"{DOCUMENT}?format=full&subject=neutral").text
    assert shown == sent.replace(UNSUBSCRIBE_SLOT, link).replace(MANAGE_SLOT, link)


def test_light_and_dark_are_answered_in_the_document(desk: Browser):
    plain, dark, light = (desk.get(DOCUMENT + look).text for look in ("", "?look=dark", "?look=light"))
    assert "prefers-color-scheme" in plain
    assert "prefers-color-scheme: dark" not in dark + light
    assert dark != light != plain
    assert desk.get(f"{DOCUMENT}?look=<script>").text == plain
    assert desk.get(f"{ISSUE}/preview?look=<script>").status_code == 200


def test_only_the_question_is_replaced():
    css = "@media (prefers-color-scheme: dark) { a { color: red } }"
    assert in_look(css, Look(Colours.DARK)) == "@media (min-width: 0) { a { color: red } }"
    assert in_look(css, Look()) == css


def test_the_example_link_is_escaped_where_it_stands_in_html():
    seen = without_readers(Rendered("s", f"t {MANAGE_SLOT}", f'<a href="{UNSUBSCRIBE_SLOT}">'), 'https://x/?a=1&b="')
    assert seen.text == 't https://x/?a=1&b="'
    assert seen.html == '<a href="https://x/?a=1&amp;b=&quot;">'


def test_a_template_that_is_wrong_is_said_so_and_breaks_nothing(desk: Browser, parts: Parts, tmp_path):
    from digest.mail.render import Renderer

    (tmp_path / "issue").mkdir()
    (tmp_path / "issue" / "body.mjml").write_text("{% if %}")
    broken = Renderer([tmp_path, *parts.renderer._folders])
    object.__setattr__(parts, "renderer", broken)
    add_posts(parts, [])
    assert desk.get(f"{ISSUE}/preview").status_code == 500
    assert "cannot be rendered" in desk.get(f"{ISSUE}/preview").text
    assert "Cannot be shown" in desk.get(DOCUMENT).text
    assert desk.get(ISSUE).status_code == 200
    assert desk.press("test").status_code == 422
    assert desk.press("approve").status_code == 422


MAIL = (
    "<html><head><style>a{color:red}</style></head><body style='color:#111'>"
    '<img alt="A court" src="https://img.example/a.png" width="600"></body></html>'
)


def test_pictures_are_left_out_with_their_words_in_their_place():
    shown = in_look(MAIL, Look(has_images=False))
    assert '<img alt="A court" width="600">' in shown
    assert "img.example" not in shown


def test_style_sheets_are_left_out_and_what_is_inline_stays():
    shown = in_look(MAIL, Look(has_styles=False))
    assert "<style" not in shown
    assert "style='color:#111'" in shown


def test_turned_over_colours_are_the_only_style_that_is_added():
    both = in_look(MAIL, Look(Colours.TURNED, has_styles=False))
    assert both.count("<style") == 1
    assert "invert(1)" in both
    assert in_look(MAIL, Look()) == MAIL


def test_every_look_can_be_asked_for_and_nothing_else(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(Post).values(image_url="https://img.example.org/a.jpg", image_alt="A court"))
    assert "img.example.org" not in desk.get(f"{DOCUMENT}?images=off").text
    assert "'none'" in directives(desk.get(f"{DOCUMENT}?images=off").headers["content-security-policy"])["img-src"]
    assert "<style" not in desk.get(f"{DOCUMENT}?styles=off").text
    assert "invert(1)" in desk.get(f"{DOCUMENT}?look=turned").text
    page = desk.get(f"{ISSUE}/preview?width=437&look=dark&images=off&styles=off&format=full").text
    assert 'width="437"' in page
    for field in ('value="dark" checked', 'name="images" value="off" checked', 'name="styles" value="off" checked'):
        assert field in page
    for odd, width in (
        ("99999", None),
        ("1e3", None),
        ("-5", None),
        ("\u0662\u0662\u0662", None),
        ("7", 240),
        ("5000", 1600),
    ):
        text = desk.get(f"{ISSUE}/preview?width={odd}").text
        assert (f'width="{width}"' in text) if width else ("chosen" not in text), odd


def test_all_looks_stand_on_one_page(desk: Browser):
    text = desk.get(f"{ISSUE}/preview/sheet?format=full&subject=neutral").text
    assert text.count("<iframe") == 7
    assert text.count("format=full&amp;subject=neutral&amp;look=") >= 7
    assert "Weekly digest" in text
    assert "One look is all there is" in desk.get(f"{ISSUE}/preview/sheet?format=text").text


def test_the_source_is_the_mail_octet_by_octet(desk: Browser, parts: Parts):
    page = desk.get(f"{ISSUE}/preview/source").text
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in page
    answer = desk.get(f"/desk/preview/{NAME}.eml")
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == 'attachment; filename="watchdog-2026-W46.eml"'
    desk.press("approve")
    desk.press("send")
    with parts.database.read() as session:
        issue = session.get_one(Issue, the_issue(parts).id, options=[undefer_group(RENDERINGS)])
        editions = editions_of(issue, parts.settings.newsletters["watchdog"], Links(BASE_URL, parts.keys.token), None)
    for kind in KINDS:
        octets = desk.get(
            f"/desk/preview/{NAME}.eml?format={kind.format}{'&subject=neutral' * kind.is_neutral}"
        ).content
        assert octets == b"".join(editions[kind].copy("reader@example.org", NOBODY, NOBODY)), kind
    assert desk.get(f"/desk/preview/{NAME}.pdf").status_code == 404
