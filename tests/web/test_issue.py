"""The issue page, from the first look to the last copy, as an editor without scripts works it."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from digest.gather.links import identity
from digest.issues.order import reading_order
from digest.mail.outbox import TEST
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT
from digest.models import Delivery, IssueState, LogEntry, Post, SourceState
from digest.web.app import Parts
from digest.web.desk.proof import MOST
from subscribers.db import Database
from subscribers.keys import Keys
from subscribers.vault import DELIVERY_CONTEXT
from tests.subscribers.house import Clock
from tests.web.house import (
    ISSUE,
    NAME,
    STORIES,
    Browser,
    add_editor,
    add_posts,
    add_readers,
    fields_of,
    make_client,
    make_parts,
    open_issue,
    the_issue,
)

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }} & Жена"


def headlines(parts: Parts) -> list[str]:
    return [item.headline for item in reading_order(the_issue(parts).items, ("", "Journalists in Trouble"))]


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_page_has_the_stories_in_their_order(desk: Browser):
    text = desk.get(ISSUE).text
    places = [text.index(f">{title}</h") for _, title, _ in STORIES]
    assert places == sorted(places)
    assert "Journalists in Trouble" in text
    assert "09:00 UTC" in text


def test_a_saved_word_is_there_afterwards_and_in_the_log(desk: Browser, parts: Parts):
    answer = desk.press("save", subject="Freed after 214 days", introduction="Good news first.\r\n\r\nThen the rest.")
    assert answer.headers["location"] == f"{ISSUE}?done=saved"
    issue = the_issue(parts)
    assert (issue.subject, issue.introduction) == ("Freed after 214 days", "Good news first.\n\nThen the rest.")
    assert issue.touched
    text = text_of(desk.get(answer.headers["location"]).text)
    assert "Saved." in text
    assert "anna edited" in text


def test_saving_nothing_new_makes_no_revision(desk: Browser, parts: Parts):
    assert desk.press("save").headers["location"] == f"{ISSUE}?done=same"
    assert the_issue(parts).revision == 1


def test_only_our_own_sentences_are_said(desk: Browser):
    assert "evil" not in desk.get(f"{ISSUE}?done=evil").text
    assert 'class="said"' not in desk.get(f"{ISSUE}?done=evil").text


def test_stories_move_and_every_button_saves_what_was_typed(desk: Browser, parts: Parts):
    second = the_issue(parts).items[1]
    answer = desk.press(f"items/{second.id}/up", introduction="Typed, not saved.")
    assert answer.headers["location"] == f"{ISSUE}?done=moved#story-{second.id}"
    assert headlines(parts)[:2] == [STORIES[1][1], STORIES[0][1]]
    assert the_issue(parts).introduction == "Typed, not saved."
    desk.press(f"items/{second.id}/down")
    assert headlines(parts)[:2] == [STORIES[0][1], STORIES[1][1]]


def test_a_story_is_put_in_its_place(desk: Browser, parts: Parts):
    first, *_, fifth, _ = the_issue(parts).items
    trouble = "Journalists in Trouble"
    form = desk.form()
    answer = desk.post(f"{ISSUE}/items/{first.id}/place", {**form, "section": trouble, "before": str(fifth.id)})
    assert answer.headers["location"] == f"{ISSUE}?done=moved#story-{first.id}"
    assert headlines(parts)[3:5] == [STORIES[0][1], STORIES[4][1]]
    desk.post(f"{ISSUE}/items/{first.id}/place", {**desk.form(), "section": "", "before": ""})
    assert headlines(parts)[3] == STORIES[0][1]
    assert desk.post(f"{ISSUE}/items/{first.id}/place", {**desk.form(), "before": "x"}).status_code == 400


def test_a_change_is_undone_and_done_again(desk: Browser, parts: Parts):
    desk.press("save", subject="Freed")
    answer = desk.press("undo")
    assert answer.headers["location"] == f"{ISSUE}?done=undone"
    assert the_issue(parts).subject == STORIES[0][1]
    assert "Undone: anna wrote the subject." in text_of(desk.get(answer.headers["location"]).text)
    answer = desk.press("redo")
    assert the_issue(parts).subject == "Freed"
    assert "Done again: anna wrote the subject." in text_of(desk.get(answer.headers["location"]).text)
    assert desk.press("redo").status_code == 422


def test_a_picture_is_described_on_the_desk(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        session.execute(sa.update(Post).values(image_url="https://blog.example.org/i.jpg", image_alt="From the post"))
    item = the_issue(parts).items[0].id
    assert desk.form()[f"image_alt-{item}"] == "From the post"
    desk.press("save", **{f"image_alt-{item}": "A man on the steps of a courthouse"})
    assert the_issue(parts).items[0].image_alt == "A man on the steps of a courthouse"
    assert 'alt="A man on the steps of a courthouse"' in desk.get(f"/desk/preview/{NAME}.html").text


def test_a_story_is_left_out_and_put_back(desk: Browser, parts: Parts):
    lead = the_issue(parts).items[0]
    assert desk.press(f"items/{lead.id}/out").headers["location"].endswith(f"done=left-out#story-{lead.id}")
    assert not the_issue(parts).items[0].included
    assert "5 in, 1 left out" in text_of(desk.get(ISSUE).text)
    desk.press(f"items/{lead.id}/in")
    assert the_issue(parts).items[0].included


def test_headline_summary_and_section_are_edited(desk: Browser, parts: Parts):
    item = the_issue(parts).items[2].id
    typed = {f"headline-{item}": "Rivers are public", f"summary-{item}": "At last."}
    desk.press("save", **typed, **{f"section-{item}": "Journalists in Trouble"})
    changed = next(one for one in the_issue(parts).items if one.id == item)
    assert (changed.headline, changed.summary, changed.section) == (
        "Rivers are public", "At last.", "Journalists in Trouble"
    )  # fmt: skip


def test_a_section_of_somebody_s_own_making_is_refused(desk: Browser, parts: Parts):
    item = the_issue(parts).items[2].id
    answer = desk.press("save", **{f"section-{item}": "Elsewhere", "subject": "Kept on the page"})
    assert answer.status_code == 422
    assert "There is no section" in answer.text
    assert 'value="Kept on the page"' in answer.text
    assert the_issue(parts).revision == 1


def test_what_is_too_long_is_refused_and_still_there(desk: Browser, parts: Parts):
    answer = desk.press("save", subject="x" * 151, introduction="Also typed.")
    assert answer.status_code == 422
    assert "at most 150" in answer.text
    assert "x" * 151 in answer.text
    assert "Also typed." in answer.text
    assert the_issue(parts).introduction == ""


def test_what_somebody_types_is_never_markup(desk: Browser, parts: Parts):
    item = the_issue(parts).items[0].id
    fields = {"subject": NASTY, "preheader": NASTY, "introduction": NASTY}
    assert desk.press("save", **fields, **{f"headline-{item}": NASTY, f"summary-{item}": NASTY}).status_code == 303
    desk.press("hold")
    fields = desk.form()
    desk.post(f"{ISSUE}/hold", {**fields, "reason": NASTY})
    with parts.database.write() as session:
        session.execute(sa.update(Post).values(title=NASTY, link=f"https://blog.example.org/{NASTY}"))
        session.add(
            SourceState(
                newsletter="watchdog", url="https://blog.example.org/feed/", reason=NASTY, failures=1, entries=0
            )
        )
    for path in ("/desk", ISSUE, f"{ISSUE}/preview", "/desk/preview/watchdog/2026-W46.html"):
        text = desk.get(path).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "&lt;script&gt;alert(1)" in text, path
        assert "49" not in re.findall(r"onerror=alert\(2\)&gt;(.{0,20})", text), path


def test_a_stale_save_is_refused_and_shows_both(desk: Browser, parts: Parts):
    add_editor(parts, "boris")
    item = the_issue(parts).items[0].id
    mine = desk.form()
    with make_client(parts) as client:
        boris = Browser(client)
        boris.log_in("boris")
        boris.press(
            "save", subject="Boris's subject", preheader="Boris's preview line, long enough to be taken as one."
        )
    answer = desk.post(f"{ISSUE}/save", {**mine, "subject": "My subject", f"summary-{item}": "My summary."})
    assert answer.status_code == 409
    assert the_issue(parts).subject == "Boris's subject"
    again = fields_of(answer.text)
    # What I typed is in its fields, what I did not touch is Boris's, and beside my subject stands his. What only I have
    # written is saved.
    assert again["subject"] == "My subject"
    assert again[f"summary-{item}"] == "My summary."
    assert again["preheader"].startswith("Boris's preview line")
    assert "Somebody else wrote: Boris&#39;s subject" in text_of(answer.text)
    assert "yours was not put over it: Subject." in answer.text
    assert the_issue(parts).items[0].summary == "My summary."
    assert desk.post(f"{ISSUE}/save", again).status_code == 303
    assert (the_issue(parts).subject, the_issue(parts).preheader[:5]) == ("My subject", "Boris")


@pytest.mark.parametrize("button", ["approve", "send", "undo", "redo"])
def test_a_button_about_the_whole_issue_is_refused_on_an_old_page(desk: Browser, parts: Parts, button: str):
    old = desk.form()
    desk.press("save", subject="Something newer")
    assert desk.post(f"{ISSUE}/{button}", old).status_code == 409
    assert the_issue(parts).state is not IssueState.APPROVED


def test_an_approval_names_its_editor_and_a_change_takes_it_back(desk: Browser, parts: Parts):
    assert desk.press("approve").headers["location"] == f"{ISSUE}?done=approved"
    assert (the_issue(parts).state, the_issue(parts).approved_by) == (IssueState.APPROVED, "anna")
    assert "By anna ." in text_of(desk.get(ISSUE).text)
    answer = desk.press("save", subject="One more thought")
    assert answer.headers["location"] == f"{ISSUE}?done=withdrawn-by-change"
    assert the_issue(parts).state is IssueState.DRAFT


def test_approving_saves_first_what_was_typed_and_approves_that(desk: Browser, parts: Parts):
    desk.press("approve", subject="Typed in the last second")
    issue = the_issue(parts)
    assert (issue.state, issue.subject, issue.revision) == (IssueState.APPROVED, "Typed in the last second", 2)


def test_a_finding_that_blocks_refuses_the_approval_and_says_what_to_do(desk: Browser, parts: Parts):
    answer = desk.press("approve", subject="", introduction="Kept all the same.")
    assert answer.status_code == 422
    assert the_issue(parts).introduction == "Kept all the same."
    text = text_of(answer.text)
    assert "Write one; the lead's headline is a good start." in text.replace("&#39;", "'")
    assert the_issue(parts).state is not IssueState.APPROVED


def test_an_approval_is_taken_back_and_an_issue_is_held(desk: Browser, parts: Parts):
    desk.press("approve")
    desk.press("withdraw")
    assert the_issue(parts).state is IssueState.DRAFT
    desk.press("hold", reason="Waiting for the court.")
    assert (the_issue(parts).state, the_issue(parts).hold_reason) == (IssueState.HELD, "Waiting for the court.")
    assert "Waiting for the court." in desk.get(ISSUE).text


def test_sending_pausing_going_on_and_stopping(desk: Browser, parts: Parts):
    assert desk.press("send").status_code == 422
    desk.press("approve")
    assert desk.press("send").headers["location"] == f"{ISSUE}?done=sending"
    assert the_issue(parts).state is IssueState.SENDING
    assert "Audience 0" in text_of(desk.get(ISSUE).text)
    assert desk.press("save").status_code == 303
    for button, state in [("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")]:
        assert desk.press(button).status_code == 303
        assert the_issue(parts).state.value == state
    assert desk.press("resume").status_code == 422
    with parts.database.read() as session:
        mine = session.scalars(sa.select(LogEntry.action).where(LogEntry.who == "anna", LogEntry.object != "desk"))
        assert list(mine)[:2] == ["approve", "publish"]


def test_a_recall_keeps_its_reason_and_says_what_was_stopped(desk: Browser, parts: Parts):
    add_readers(parts, "one@example.org", "two@example.org")
    desk.press("approve")
    desk.press("send")
    page = desk.get(ISSUE).text
    assert "0 copies have left and cannot be called back." in page
    answer = desk.press("cancel", **{"stop-reason": "A wrong name in the lead."})
    assert answer.headers["location"] == f"{ISSUE}?done=recalled"
    text = text_of(desk.get(answer.headers["location"]).text)
    assert "Recalled. What had not left stays here" in text
    assert "A wrong name in the lead." in text
    assert "2 copies stopped: A wrong name in the lead." in text
    assert "Recalled" in text_of(desk.get("/desk").text)


def test_two_publishers_approve_where_the_newsletter_asks_for_two(parts: Parts):
    newsletter = parts.settings.newsletters["watchdog"].model_copy(update={"approvals": 2})
    parts = replace(parts, settings=parts.settings.model_copy(update={"newsletters": {"watchdog": newsletter}}))
    add_editor(parts, "boris")
    with make_client(parts) as client, make_client(parts) as another:
        anna, boris = Browser(client), Browser(another)
        anna.log_in()
        boris.log_in("boris")
        assert "Two publishers have to approve the same text." in text_of(anna.get(ISSUE).text)
        assert anna.press("approve").headers["location"] == f"{ISSUE}?done=approved-first"
        assert "Approved by anna . Somebody else has to approve it as well" in text_of(anna.get(ISSUE).text)
        assert f'formaction="{ISSUE}/approve"' not in anna.get(ISSUE).text
        assert anna.press("approve").status_code == 422
        assert anna.press("send").status_code == 422
        assert "It goes out once you approve it too" in text_of(boris.get(ISSUE).text)
        assert boris.press("approve").headers["location"] == f"{ISSUE}?done=approved"
    assert (the_issue(parts).state, the_issue(parts).approved_by) == (IssueState.APPROVED, "anna and boris")


def test_words_typed_after_the_text_was_frozen_change_nothing(desk: Browser, parts: Parts):
    desk.press("approve")
    typing = desk.form()
    desk.press("send")
    answer = desk.post(f"{ISSUE}/save", {**typing, "subject": "Too late", "introduction": "An hour's work."})
    assert answer.status_code == 422
    assert "it can no longer be changed" in answer.text
    assert '<blockquote class="typed" dir="auto">Too late</blockquote>' in answer.text
    assert "An hour&#39;s work." in answer.text
    assert the_issue(parts).subject != "Too late"


def test_a_thursday_on_both_databases(database: Database, keys: Keys, clock: Clock):
    parts = make_parts(database, keys, clock)
    add_editor(parts)
    add_posts(parts)
    open_issue(parts)
    add_readers(parts, "one@example.org", "two@example.org")
    with make_client(parts) as client:
        desk = Browser(client)
        desk.log_in()
        second = the_issue(parts).items[1].id
        for button in (f"items/{second}/up", f"items/{second}/out", f"items/{second}/in", "newer", "test", "hold"):
            assert desk.press(button, introduction=f"Before {button}.").status_code == 303, button
        assert desk.press("approve").status_code == 303
        assert desk.press("send").status_code == 303
        assert "On its way: 0 of 2." in desk.get(ISSUE).text
        assert desk.get("/issues/watchdog/2026-W46").status_code == 200
        assert desk.press("cancel").status_code == 303
        assert "The account closes" in desk.get(ISSUE).text
        assert desk.get("/desk").status_code == 200
        assert desk.get("/readyz").status_code == 200


def test_a_test_copy_is_sealed_marked_and_for_the_editor_alone(desk: Browser, parts: Parts):
    assert desk.press("test", subject="Looks good?").headers["location"] == f"{ISSUE}?done=tested"
    with parts.database.read() as session:
        row = session.scalars(sa.select(Delivery)).one()
        assert (row.letter, row.user_id, row.subscriber_id, row.subscription_id) == (TEST, 1, None, None)
        assert row.context_sealed
        said = parts.vault.open(row.context_sealed, DELIVERY_CONTEXT, row.public_id)
    assert '"[Test] Looks good?"' in said
    # The sender puts links there that belong to nobody; a reader's own is nowhere in it.
    assert UNSUBSCRIBE_SLOT in said
    assert MANAGE_SLOT in said
    assert "/u/" not in said


def test_test_copies_are_a_few_an_hour(desk: Browser, clock: Clock):
    answers = [desk.press("test").status_code for _ in range(MOST + 1)]
    assert answers == [303] * MOST + [422]
    clock.turn(minutes=25)
    desk.get("/desk")
    clock.turn(minutes=25)
    desk.get("/desk")
    clock.turn(minutes=11)
    assert desk.press("test").status_code == 303


def test_somebody_without_an_address_gets_no_test_copy(parts: Parts):
    add_editor(parts, "boris", address=None)
    with make_client(parts) as client:
        boris = Browser(client)
        boris.log_in("boris")
        assert "Send me a test" not in boris.get(ISSUE).text
        assert boris.press("test").status_code == 422


def test_newer_stories_are_offered(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        for post in session.scalars(sa.select(Post).where(Post.identity == "post-0")):
            copy = {name: getattr(post, name) for name in Post.__table__.columns.keys() if name != "id"}  # noqa: SIM118
            session.add(Post(**{**copy, "identity": "late", "title": "It came in late"}))
    assert desk.press("newer").status_code == 303
    text = text_of(desk.get(ISSUE).text)
    assert "It came in late" in text
    assert "6 in, 1 left out" in text


def test_the_list_opens_a_draft_that_is_missing(parts: Parts, clock: Clock):
    clock.turn(weeks=1)
    with make_client(parts) as client:
        browser = Browser(client)
        browser.log_in()
        assert "No draft for 2026-W47 yet" in browser.get("/desk").text
        answer = browser.post("/desk/newsletters/watchdog/draft", {"csrf": browser.form("/desk")["csrf"]})
        assert answer.headers["location"] == "/desk/issues/watchdog/2026-W47?done=drafted"
        assert "No stories" in browser.get(answer.headers["location"]).text
        assert "No draft for" not in browser.get("/desk").text


def test_the_list_says_when_what_leaves_and_what_troubles_a_source(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        url = "https://blog.example.org/feed/"
        session.add(SourceState(newsletter="watchdog", url=url, reason="It answered 503.", failures=2, entries=3))
    text = text_of(desk.get("/desk").text)
    assert "Thu 12 Nov 2026, 10:00 CET (09:00 UTC)" in text
    assert "6 stories" in text
    assert f"{url}: It answered 503." in text
    desk.press("approve")
    assert "6 stories, approved by anna" in text_of(desk.get("/desk").text)


@pytest.mark.parametrize(
    "path",
    [
        "/desk/issues/watchdog/2026-W01",
        "/desk/issues/nothing/2026-W46",
        "/desk/issues/watchdog/..%2f..",
        "/desk/nope",
        "/desk/preview/watchdog/2026-W46",
        "/desk/preview/watchdog/2026-W46.pdf",
        "/desk/preview/x/2026-W46.html",
    ],
)
def test_what_is_not_there_is_said_so(desk: Browser, path: str):
    answer = desk.get(path)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_a_button_that_does_not_exist_does_nothing(desk: Browser):
    assert desk.press("items/1/sideways").status_code == 404
    assert desk.press("items/999/up").status_code == 422


def test_a_story_is_added_by_its_address(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        known = session.scalars(sa.select(Post)).first()
        copy = {name: getattr(known, name) for name in Post.__table__.columns.keys() if name != "id"}  # noqa: SIM118
        link = "https://blog.example.org/a/known.html"
        found = {"identity": identity(link, ""), "link": link, "title": "Known, and left behind"}
        session.add(Post(**{**copy, **found, "published_at": parts.clock() - dt.timedelta(days=30)}))
    answer = desk.press("add", link=f" {link}?utm_source=x ", introduction="Typed by the way.")
    assert answer.headers["location"].startswith(f"{ISSUE}?done=added-outside#story-")
    assert headlines(parts)[4] == "Known, and left behind"
    assert the_issue(parts).introduction == "Typed by the way."
    assert desk.press("add", link=link).headers["location"].startswith(f"{ISSUE}?done=added-already")


def test_an_address_that_cannot_be_added_is_a_sentence_and_stays_in_its_field(desk: Browser, parts: Parts):
    answer = desk.press("add", link="https://elsewhere.example/a", introduction="Typed by the way.")
    assert answer.status_code == 422
    assert "elsewhere.example is none of the newsletter’s sources" in answer.text
    assert 'value="https://elsewhere.example/a"' in answer.text
    assert the_issue(parts).introduction == "Typed by the way."
