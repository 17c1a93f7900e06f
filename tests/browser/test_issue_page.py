"""An editor at the issue page: with the mouse, the keyboard alone, a finger, without scripts, and with bad luck."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, Route, expect

from digest.issues.edit import edit_issue, edit_item, leave_out
from digest.issues.order import reading_order
from digest.models import Item, LogEntry, Post
from digest.web.app import create_app
from digest.web.desk.page import until
from tests.browser.test_desk import Room, faults, room
from tests.subscribers.house import serving
from tests.web.house import ISSUE, PASSWORD, STORIES, add_editor, the_issue

__all__ = ["room"]
pytestmark = pytest.mark.browser

TROUBLE = "Journalists in Trouble"
PIXEL = b"GIF89a\x01\0\x01\0\0\0\0;"
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = (title for _, title, _ in STORIES)


def order(room: Room) -> list[tuple[str, str]]:
    """What is in the issue, in reading order: heading and headline."""
    items = reading_order(the_issue(room.parts).items, ("", TROUBLE))
    return [(item.section, item.headline) for item in items if item.included]


def shown(page: Page) -> list[str]:
    return page.locator(".story:not(.out) .headline").all_text_contents()


def story(page: Page, title: str) -> Locator:
    return page.locator(".story").filter(has=page.locator(".headline").get_by_text(title, exact=True))


def word(page: Page) -> Locator:
    return page.locator("#word")


def by(room: Room) -> dict[str, Any]:
    return {"who": "boris", "now": room.clock()}


def wait_until(page: Page, expression: str) -> None:
    """Playwright's own way of waiting for an expression is one that the page's policy does not allow."""
    for _ in range(300):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def eventually(page: Page, holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError(inspect.getsource(holds))


def centre(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def take(page: Page, title: str) -> None:
    """Press the mouse on a story's handle, and begin to drag."""
    handle = story(page, title).locator(".handle")
    handle.scroll_into_view_if_needed()
    x, y = centre(handle)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 10, steps=3)
    expect(page.locator(".drop-line")).to_be_visible()


def test_a_morning_with_the_mouse(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    frame = page.frame_locator(".stage iframe:not(.coming)")
    page.get_by_label("Introduction").fill("Good *news* first.")
    expect(word(page)).to_have_text("Saved.")
    expect(frame.get_by_text("Good news first.")).to_be_visible()
    assert the_issue(room.parts).introduction == "Good *news* first."
    headline = story(page, SECOND).get_by_label("Headline")
    headline.fill("Donors have to be named")
    headline.press("Enter")
    expect(frame.get_by_text("Donors have to be named").last).to_be_visible()
    assert order(room)[1] == ("", "Donors have to be named")

    take(page, THIRD)
    x, y = centre(story(page, FIRST))
    page.mouse.move(x, y - 20, steps=4)
    page.mouse.up()
    expect(word(page)).to_have_text("Moved.")
    assert [title for _, title in order(room)][:2] == [THIRD, FIRST]
    expect(page.locator(".story.lead .headline")).to_have_text(THIRD)

    story(page, THIRD).get_by_role("button", name="Leave out").click()
    expect(page.get_by_text("1 left out", exact=True)).to_be_visible()
    assert THIRD not in shown(page)
    page.get_by_role("button", name="Undo").click()
    expect(word(page)).to_have_text(f"Undone: anna left out “{THIRD}”.")
    assert shown(page)[0] == THIRD
    page.get_by_role("button", name="Do again").click()
    expect(word(page)).to_contain_text("Done again: anna left out")

    page.get_by_label("Add a story by its link").fill("https://elsewhere.example/a/1")
    page.get_by_role("button", name="Add it").click()
    expect(word(page)).to_contain_text("elsewhere.example is none of the newsletter’s sources")
    expect(page.get_by_label("Add a story by its link")).to_have_value("https://elsewhere.example/a/1")
    room.picture(page, "issue-mouse")
    page.get_by_role("button", name="Approve all the same").click()
    expect(page.locator("#state")).to_have_text("Approved")
    page.get_by_label("Subject").fill("One more thought")
    expect(word(page)).to_contain_text("it is taken back: please approve once more")
    expect(page.locator("#state")).to_have_text("Draft")
    expect(page.locator("#chip")).to_have_text("Checks pass")


def test_a_story_is_dragged_into_a_section_without_stories_and_back_by_escape(room: Room):
    with room.parts.database.write() as session:
        session.execute(sa.update(Item).values(section=""))
    page = room.window()
    room.log_in(page, ISSUE)
    expect(page.get_by_text("No stories here.")).to_be_visible()
    before = order(room)
    take(page, FOURTH)
    page.mouse.move(*centre(page.get_by_text("No stories here.")), steps=4)
    page.keyboard.press("Escape")
    expect(page.locator(".drop-line")).to_have_count(0)
    page.mouse.up()
    assert order(room) == before
    take(page, FOURTH)
    page.mouse.move(*centre(page.get_by_text("No stories here.")), steps=4)
    room.picture(page, "issue-drag")
    page.mouse.up()
    expect(word(page)).to_have_text("Moved.")
    assert order(room)[-1] == (TROUBLE, FOURTH)


def test_the_page_scrolls_while_a_story_is_held_at_its_edge(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    page.set_viewport_size({"width": 1280, "height": 500})
    take(page, FIRST)
    page.mouse.move(400, 495, steps=3)
    wait_until(page, "scrollY + innerHeight >= document.documentElement.scrollHeight - 200")
    page.mouse.up()
    expect(word(page)).to_have_text("Moved.")
    assert order(room)[-1] == (TROUBLE, FIRST)


def test_a_story_is_dragged_with_a_finger(room: Room):
    page = room.window("phone", touch=True)
    room.log_in(page, ISSUE)
    story(page, SECOND).locator(".handle").scroll_into_view_if_needed()
    x, y = centre(story(page, SECOND).locator(".handle"))
    _, above = centre(story(page, FIRST).locator(".handle"))
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        spots = [{"x": one, "y": other} for one, other in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    touch("touchStart", (x, y))
    for step in (10, 30, 60):
        touch("touchMove", (x, y - step))
    expect(page.locator(".drop-line")).to_be_visible()
    touch("touchMove", (x, max(above - 40, 120)))
    wait_until(page, "document.querySelector('.drop-line').getBoundingClientRect().top < 400")
    touch("touchEnd")
    expect(word(page)).to_have_text("Moved.")
    assert order(room)[0] == ("", SECOND)


def test_a_morning_with_the_keyboard_alone(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    press = page.keyboard.press
    press("j")
    press("j")
    expect(story(page, SECOND)).to_be_focused()
    press("k")
    expect(story(page, FIRST)).to_be_focused()
    press("e")
    expect(story(page, FIRST).get_by_label("Headline")).to_be_focused()
    # In a field every key is a letter.
    page.keyboard.type(", jk?")
    press("Escape")
    expect(word(page)).to_have_text("Saved.")
    assert order(room)[0] == ("", f"{FIRST}, jk?")

    press("m")
    press("ArrowDown")
    press("ArrowDown")
    assert shown(page)[:3] == [SECOND, THIRD, f"{FIRST}, jk?"]
    expect(page.locator("[aria-live=assertive]")).to_have_text(f"{FIRST}, jk?: 3 of 4 in the main part")
    press("Escape")
    assert shown(page)[0] == f"{FIRST}, jk?"
    assert order(room)[0] == ("", f"{FIRST}, jk?")
    for _ in range(4):
        press("ArrowDown")
    press("Enter")
    expect(word(page)).to_have_text("Moved.")
    assert order(room)[3] == (TROUBLE, f"{FIRST}, jk?")
    expect(page.locator(".handle:focus")).to_have_count(1)
    press("Control+z")
    expect(word(page)).to_contain_text("Undone: anna moved")
    press("Control+Shift+Z")
    expect(word(page)).to_contain_text("Done again: anna moved")
    press("u")
    expect(word(page)).to_contain_text("Undone: anna moved")
    expect(page.locator(".story.lead .headline")).to_have_text(f"{FIRST}, jk?")

    page.locator(".story.lead").focus()
    press("x")
    expect(word(page)).to_have_text("The story is left out. It stays here, in case.")
    expect(story(page, SECOND)).to_be_focused()
    press("g")
    press("i")
    expect(page).to_have_url(f"{room.url}/desk")


def test_the_sheet_of_keys_is_kept_to_and_tells_no_tales(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    page.locator(".story.lead").focus()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text("Next story")
    # There is a search only where the desk's own navigation leads to one.
    assert sheet.get_by_text("Search", exact=True).count() == page.locator('.rooms a[href="/desk/search"]').count()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"
        )
    room.picture(page, "issue-keys")
    assert faults(page) == []
    sheet.get_by_label("Single keys work").uncheck()
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator(".story.lead")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(".story.lead")).to_be_focused()


def test_a_morning_without_scripts(room: Room):
    page = room.window(scripts=False)
    room.log_in(page, ISSUE)
    expect(page.locator(".handle").first).to_be_hidden()
    story(page, SECOND).get_by_label("Headline").fill("Donors have to be named")
    story(page, THIRD).get_by_role("button", name="Up").click()
    expect(page.get_by_role("status")).to_have_text("Moved.")
    assert shown(page)[:3] == [FIRST, THIRD, "Donors have to be named"]
    story(page, THIRD).get_by_role("button", name="Leave out").click()
    # What is left out is passed over: the next one goes where it is seen to go.
    story(page, "Donors have to be named").get_by_role("button", name="Up").click()
    assert shown(page)[0] == "Donors have to be named"
    story(page, FOURTH).get_by_label("Section").select_option(TROUBLE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert (TROUBLE, FOURTH) in order(room)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("Undone: anna moved")
    assert ("", FOURTH) in order(room)
    page.get_by_text("1 left out", exact=True).click()
    story(page, THIRD).get_by_role("button", name="Put in").click()
    assert len(shown(page)) == 6
    expect(page.frame_locator(".stage iframe").get_by_text("Donors have to be named").first).to_be_attached()
    room.picture(page, "issue-no-scripts")


def test_what_two_editors_write_in_different_places_is_merged(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    with room.parts.database.write() as session:
        edit_issue(session, the_issue(room.parts).id, subject="Boris's subject", **by(room))
    page.get_by_label("Introduction").fill("Anna's words.")
    expect(word(page)).to_have_text("Saved.")
    expect(page.get_by_label("Subject")).to_have_value("Boris's subject")
    issue = the_issue(room.parts)
    assert (issue.subject, issue.introduction) == ("Boris's subject", "Anna's words.")


@pytest.mark.parametrize(("choice", "stands"), [("Keep mine", "Mine"), ("Take theirs", "Boris's subject")])
def test_where_both_have_written_the_editor_chooses(room: Room, choice: str, stands: str):
    page = room.window()
    room.log_in(page, ISSUE)
    with room.parts.database.write() as session:
        edit_issue(session, the_issue(room.parts).id, subject="Boris's subject", **by(room))
    page.get_by_label("Subject").fill("Mine")
    story(page, FIRST).get_by_label("Summary").fill("And a summary.")
    expect(page.locator("#stands-subject")).to_contain_text("Somebody else wrote: Boris's subject")
    expect(word(page)).to_contain_text("Choose which of the two is to stand")
    expect(page.get_by_label("Subject")).to_have_value("Mine")
    room.picture(page, "issue-clash")
    assert faults(page) == []
    # All else is saved, and goes on being saved.
    page.get_by_label("Introduction").fill("Good news.")
    eventually(page, lambda: the_issue(room.parts).introduction == "Good news.")
    expect(word(page)).to_contain_text("All else is saved")
    expect(word(page)).to_contain_text("Choose which of the two is to stand")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(word(page)).to_contain_text("Choose which of the two is to stand")
    assert the_issue(room.parts).items[0].summary == "And a summary."
    assert the_issue(room.parts).subject == "Boris's subject"
    page.get_by_role("button", name=choice).click()
    expect(page.locator("#stands-subject")).to_have_count(0)
    expect(page.get_by_label("Subject")).to_have_value(stands)
    wait_until(page, "localStorage.length === 0")
    assert the_issue(room.parts).subject == stands


def test_what_somebody_else_does_is_told_and_replaces_no_words(room: Room):
    page = room.window()
    room.stop_clock(page)
    room.log_in(page, ISSUE)
    with room.parts.database.write() as session:
        first = the_issue(room.parts).items[0].id
        leave_out(session, the_issue(room.parts).id, first, **by(room))
        edit_issue(session, the_issue(room.parts).id, introduction="Boris's words.", **by(room))
    page.clock.fast_forward(9000)
    expect(page.locator("#news")).to_contain_text("boris wrote the introduction")
    assert shown(page)[0] == FIRST
    page.get_by_label("Preview line").fill("Half a line")
    page.get_by_role("button", name="Show it").click()
    expect(page.locator(".story.lead .headline")).to_have_text(SECOND)
    expect(page.get_by_label("Introduction")).to_have_value("Boris's words.")
    expect(page.get_by_label("Preview line")).to_have_value("Half a line")
    expect(page.locator("#news")).to_be_hidden()


def test_a_lost_connection_loses_no_word_and_no_move(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    room.deaf_to.append("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.get_by_label("Introduction").fill("Written in a tunnel.")
    expect(word(page)).to_contain_text("Not saved: there is no connection")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    story(page, SECOND).get_by_role("button", name="Leave out").click()
    page.get_by_label("Introduction").press_sequentially(" And a word more.")
    room.picture(page, "issue-offline")
    assert the_issue(room.parts).revision == 1
    page.context.set_offline(False)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    expect(page.get_by_text("1 left out", exact=True)).to_be_visible()
    wait_until(page, "localStorage.length === 0")
    assert the_issue(room.parts).introduction == "Written in a tunnel. And a word more."


def test_words_outlast_a_page_that_was_closed_without_a_connection(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    room.deaf_to.append("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    page.get_by_label("Introduction").fill("Written in a tunnel.")
    expect(word(page)).to_contain_text("Not saved")
    context = page.context
    page.close()
    context.set_offline(False)
    again = context.new_page()
    again.goto(f"{room.url}{ISSUE}")
    expect(again.get_by_label("Introduction")).to_have_value("Written in a tunnel.")
    wait_until(again, "localStorage.length === 0")
    assert the_issue(room.parts).introduction == "Written in a tunnel."


def test_a_session_that_has_ended_loses_no_word(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    room.clock.turn(hours=9)
    page.get_by_label("Introduction").fill("Written over the night.")
    expect(word(page)).to_contain_text("you are no longer logged in")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in").click()
    other = opened.value
    other.get_by_label("Name").fill("anna")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Log in").click()
    other.wait_for_url(f"**{ISSUE}")
    page.bring_to_front()
    page.get_by_role("button", name="Try again").click()
    expect(word(page)).to_have_text("Saved.")
    assert the_issue(room.parts).introduction == "Written over the night."


def test_what_is_refused_is_said_at_its_field_and_keeps_nothing_else_back(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    headline, summary = story(page, FIRST).get_by_label("Headline"), story(page, FIRST).get_by_label("Summary")
    headline.fill("x" * 301)
    summary.fill("A better summary.")
    summary.blur()
    mine = page.locator("[data-item='1']")
    expect(mine.locator(".trouble")).to_contain_text("at most 300 are possible")
    eventually(page, lambda: the_issue(room.parts).items[0].summary == "A better summary.")
    assert the_issue(room.parts).items[0].headline == FIRST
    mine.get_by_label("Headline").fill("Short again")
    expect(mine.locator(".trouble")).to_have_count(0)
    eventually(page, lambda: the_issue(room.parts).items[0].headline == "Short again")


def test_the_preview_follows_the_hand_and_keeps_its_look(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    stage = page.locator(".stage")
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(stage.locator("iframe:not(.coming)")).to_have_attribute("src", f"{ISSUE}/beside?look=dark")
    last = story(page, SIXTH)
    last.get_by_label("Headline").fill("A song, and its price")
    # The frame is at the story that was changed, and the keys are still the page's.
    expect(stage.locator("iframe:not(.coming)")).to_have_attribute("src", f"{ISSUE}/beside?look=dark#story-6")
    expect(stage.locator("iframe")).to_have_count(1)
    expect(page.frame_locator(".stage iframe").get_by_text("A song, and its price")).to_be_in_viewport()
    expect(last.or_(story(page, "A song, and its price")).get_by_label("Headline")).to_be_focused()
    (frame,) = [one for one in page.frames if "/beside" in one.url]
    assert frame.evaluate("self.origin") == "null"


def test_the_preview_goes_where_the_hand_went_while_it_was_on_its_way(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    stage, held = page.locator(".stage"), list[Route]()
    expect(stage.locator("iframe:not(.coming)")).to_have_attribute("src", re.compile("/beside"))
    page.route("**/beside*", lambda route: held.append(route))  # noqa: PLW0108 -- what it calls is marked by Playwright.
    story(page, SIXTH).get_by_label("Headline").fill("A song, and its price")
    expect(stage.locator("iframe.coming")).to_have_attribute("src", re.compile("#story-6$"))
    story(page, FIRST).get_by_label("Headline").focus()
    while held:
        held.pop().continue_()
    expect(stage.locator("iframe")).to_have_count(1)
    mail = page.frame_locator(".stage iframe")
    expect(mail.get_by_text(FIRST)).to_be_in_viewport()
    expect(mail.get_by_text("A song, and its price")).not_to_be_in_viewport()


def test_pictures_are_described_where_the_story_stands(room: Room):
    with room.parts.database.write() as session:
        values = {"image_url": "https://blog.example.org/a.jpg", "image_alt": "Steps"}
        session.execute(sa.update(Post).where(Post.title == FIRST).values(**values))
    page = room.window()
    # The picture is the blog's, which the test stands in for.
    room.elsewhere.append("https://blog.example.org/")
    page.route("https://blog.example.org/**", lambda route: route.fulfill(content_type="image/gif", body=PIXEL))
    room.log_in(page, ISSUE)
    words = story(page, FIRST).get_by_label("Picture in words")
    expect(words).to_have_value("Steps")
    words.fill("A courthouse with many steps")
    words.press("Enter")
    expect(word(page)).to_have_text("Saved.")
    assert the_issue(room.parts).items[0].image_alt == "A courthouse with many steps"


def test_somebody_who_may_only_look_is_shown_no_fields(room: Room):
    add_editor(room.parts, "vera", "viewer", None)
    page = room.window()
    room.log_in(page, ISSUE, "vera")
    assert page.locator("textarea, #issue input:not([type=hidden]), .handle").count() == 0
    expect(page.get_by_role("heading", name=FIRST)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).not_to_contain_text("Edit")
    page.keyboard.press("Escape")
    room.picture(page, "issue-viewer")
    assert faults(page) == []


def test_a_newsletter_that_is_written_from_right_to_left(room: Room):
    settings = room.parts.settings
    paper = settings.newsletters["watchdog"].model_copy(update={"language": "fa"})
    parts = replace(room.parts, settings=settings.model_copy(update={"newsletters": {"watchdog": paper}}))
    with parts.database.write() as session:
        issue = the_issue(parts)
        for item in issue.items:
            edit_item(session, issue.id, item.id, headline="دادگاه سردبیر را پس از ۲۱۴ روز آزاد کرد", **by(room))
        edit_issue(session, issue.id, subject="دادگاه سردبیر را آزاد کرد", **by(room))
    with serving(create_app(parts)) as url:
        there = replace(room, url=url)
        page = there.window()
        there.log_in(page, ISSUE)
        field = page.get_by_label("Headline").first
        assert field.evaluate("element => getComputedStyle(element).direction") == "rtl"
        assert page.evaluate("document.documentElement.lang") == "en"
        room.picture(page, "issue-rtl")
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_time_that_is_left_is_said_in_the_server_s_words(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    now = dt.datetime(2026, 11, 12, 6, tzinfo=dt.UTC)
    ahead = (-3000, -90, -1, 0, 59, 60, 125, 719, 720, 785, 2820, 2880, 5000)
    said = page.evaluate(
        "async (all) => { const { until } = await import('/static/desk-issue/watch.js');"
        " return all.map((minutes) => until(minutes * 60000, 0)); }",
        list(ahead),
    )
    assert said == [until(now + dt.timedelta(minutes=one), now) for one in ahead]


def test_characters_are_counted_as_people_see_them(room: Room):
    page = room.window()
    room.log_in(page, ISSUE)
    page.get_by_label("Subject").fill("e\u0301 🇨🇿 👩‍👩‍👧")
    expect(page.locator("#subject-hint .count")).to_have_text("5 characters; up to 78 are shown whole")
    expect(word(page)).to_have_text("Saved.")
    page.reload()
    expect(page.locator("#subject-hint .count")).to_have_text("5 characters; up to 78 are shown whole")
    with room.parts.database.read() as session:
        entries = session.scalars(sa.select(LogEntry.action).where(LogEntry.who == "anna", LogEntry.object != "desk"))
        assert list(entries) == ["edit"]
