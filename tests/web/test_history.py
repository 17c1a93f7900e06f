"""The history page: who changed what, word by word; and going back to what stood."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from html import unescape

import pytest
import sqlalchemy as sa

from digest.issues.revisions import RevisionLine
from digest.issues.snapshot import Snapshot, Story
from digest.models import IssueState, Revision
from digest.web.app import Parts
from digest.web.desk.past import Spell, spells
from tests.subscribers.house import Clock
from tests.web.house import ISSUE, STORIES, Browser, add_editor, make_client, make_settings, the_issue

HISTORY = f"{ISSUE}/history"
AT = dt.datetime(2026, 11, 12, 6, tzinfo=dt.UTC)
NEWSLETTER = make_settings().newsletters["watchdog"]


def text_of(html: str) -> str:
    main = html.partition("<main")[2]
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(del|ins)>", r"(\1 ", main)).split()))


def test_a_draft_has_a_history_from_the_beginning(desk: Browser):
    said = text_of(desk.get(HISTORY).text)
    assert "planner" in said
    assert "Opened the draft Stands now" in said


def test_who_changed_what_word_by_word(desk: Browser, parts: Parts, clock: Clock):
    first = the_issue(parts).items[0].id
    desk.press("save", **{f"headline-{first}": "Court in Tarnovo frees editor after 215 days"})
    clock.turn(minutes=20)
    add_editor(parts, "boris")
    with make_client(parts) as client:
        boris = Browser(client)
        boris.log_in("boris")
        boris.press(f"items/{first}/out")
    html = desk.get(HISTORY).text
    assert '<del><span class="visually-hidden" lang="en" dir="ltr"> gone: </span>214</del> ' in html
    assert '<ins><span class="visually-hidden" lang="en" dir="ltr"> new: </span>215</ins> ' in html
    said = text_of(html)
    assert said.index("boris Thu 12 Nov 2026, 06:50 CET") < said.index("anna Thu 12 Nov 2026, 06:30 CET")
    assert "Left out “Court in Tarnovo frees editor after 215 days”" in said
    assert "Wrote the headline of “Court in Tarnovo frees editor after 215 days”" in said


def test_going_back_to_a_revision(desk: Browser, parts: Parts):
    for text in ("One.", "Two."):
        desk.press("save", introduction=text)
    page = desk.get(HISTORY).text
    form = re.search(rf'action="({ISSUE}/restore/1)">\s*<input[^>]*value="([^"]*)">\s*<input[^>]*value="(\d+)">', page)
    assert form is not None
    answer = desk.post(form[1], {"csrf": form[2], "revision": form[3]})
    assert answer.headers["location"] == f"{ISSUE}?done=restored"
    assert the_issue(parts).introduction == ""
    assert the_issue(parts).revision == 4
    # The page is old now: somebody has changed the issue since.
    assert desk.post(form[1], {"csrf": form[2], "revision": form[3]}).status_code == 409
    assert "Went back to revision 1" in text_of(desk.get(HISTORY).text)


def test_a_revision_is_shown_beside_what_stands(desk: Browser, parts: Parts):
    first, second = the_issue(parts).items[:2]
    desk.press("save", subject="Later words", **{f"summary-{second.id}": "Shorter."})
    desk.press(f"items/{first.id}/out")
    html = desk.get(f"{HISTORY}/1").text
    then, now = html.split("As it was then")[1].split("As it stands")
    assert STORIES[1][2] in then
    assert "Shorter." in now
    assert "Later words" in now
    assert "Later words" not in then
    assert "1 left out" in now
    assert "Go back to this" in html
    assert "Nothing: it says today what it said then." in text_of(desk.get(f"{HISTORY}/4").text)


def test_words_run_the_way_the_newsletter_is_written(parts: Parts):
    paper = parts.settings.newsletters["watchdog"].model_copy(update={"language": "fa"})
    persian = replace(parts, settings=parts.settings.model_copy(update={"newsletters": {"watchdog": paper}}))
    with make_client(persian) as client:
        desk = Browser(client)
        desk.log_in()
        desk.press("save", introduction="صبح بخیر.")
        for path in (HISTORY, f"{HISTORY}/1"):
            assert '<p class="words" lang="fa" dir="rtl">' in desk.get(path).text


def test_a_past_that_can_no_longer_be_gone_back_to_can_be_looked_at(desk: Browser, parts: Parts):
    desk.press("save", subject="Later words")
    with parts.database.write() as session:
        session.execute(sa.update(type(the_issue(parts))).values(state=IssueState.SENT))
    assert "Go back to this" not in desk.get(HISTORY).text
    assert "Go back to this" not in desk.get(f"{HISTORY}/1").text
    with parts.database.write() as session:
        session.execute(sa.delete(Revision))
    assert "It is removed 35 days after an issue is over." in text_of(desk.get(HISTORY).text)


@pytest.mark.parametrize("path", [f"{HISTORY}/99", f"{HISTORY}/x", "/desk/issues/watchdog/2026-W01/history"])
def test_what_is_not_there_is_said_so(desk: Browser, path: str):
    assert desk.get(path).status_code == 404


def test_a_long_history_comes_in_pages(desk: Browser, parts: Parts):
    with parts.database.write() as session:
        row = session.scalars(sa.select(Revision)).one()
        issue = the_issue(parts)
        for number in range(2, 121):
            values = {
                "issue_id": issue.id,
                "number": number,
                "at": row.at,
                "who": f"e{number}",
                "said": f"did {number}",
            }
            session.add(Revision(**values, same_as=number, snapshot=row.snapshot))
    page = desk.get(HISTORY).text
    assert "Did 120" in page
    assert "Did 71" in page
    assert "Did 70" not in page
    older = desk.get(f"{HISTORY}?before=71").text
    assert "Did 70" in older
    assert f"{HISTORY}?before=21" in older
    assert "Opened the draft" in desk.get(f"{HISTORY}?before=21").text
    assert desk.get(f"{HISTORY}?before=evil").status_code == 200


def test_nothing_typed_is_markup_in_the_past_either(desk: Browser):
    nasty = "<script>alert(1)</script>\"'><img src=x>"
    desk.press("save", introduction=nasty, subject=nasty)
    for path in (HISTORY, f"{HISTORY}/1", f"{HISTORY}/2"):
        assert "<script>alert" not in desk.get(path).text
        assert "<img" not in desk.get(path).text


def kept(*changes: tuple[str, float, str, Snapshot]) -> list[tuple[RevisionLine, Snapshot]]:
    """Revisions, newest first, of changes in their order: who, after how many minutes, what, and what it then said."""
    made = [
        (RevisionLine(number, AT + dt.timedelta(minutes=at), who, said), value)
        for number, (who, at, said, value) in enumerate(changes, 1)
    ]
    return made[::-1]


def wrote(text: str, headline: str = "Head") -> Snapshot:
    return Snapshot("S", "P", text, (Story(7, "", included=True, headline=headline, summary="", image_alt=""),))


def numbers(found: tuple[Spell, ...]) -> list[tuple[str, list[int]]]:
    return [(spell.who, [entry.number for entry in spell.entries]) for spell in found]


def test_what_one_types_on_is_one_entry_and_one_person_s_minutes_are_one_spell():
    found = kept(
        ("planner", 0, "opened the draft", wrote("")),
        ("Ada", 60, "wrote the introduction", wrote("One")),
        ("Ada", 61, "wrote the introduction", wrote("One two")),
        ("Ada", 62, "wrote the introduction", wrote("One two three")),
        ("Ada", 63, "wrote the headline of “He”", wrote("One two three", "He")),
        ("Ben", 64, "wrote the introduction", wrote("One three", "He")),
        ("Ada", 64, "wrote the introduction", wrote("One three four", "He")),
        ("Ada", 80, "wrote the introduction", wrote("Five", "He")),
    )
    shown = spells(found, 50, NEWSLETTER, standing=8)
    assert numbers(shown) == [("Ada", [8]), ("Ada", [7]), ("Ben", [6]), ("Ada", [5, 4]), ("planner", [1])]
    assert shown[3].when == "Thu 12 Nov 2026, 08:00 to 08:03 CET"
    (change,) = shown[3].entries[1].difference.texts
    assert [(piece.kind, piece.text) for piece in change.pieces] == [("new", "One two three")]
    assert [spell.entries[0].stands for spell in shown] == [True, False, False, False, False]
    # On a page that ends between them each part stands for itself.
    assert numbers(spells(found, 6, NEWSLETTER, standing=8)) == [
        ("Ada", [8]),
        ("Ada", [7]),
        ("Ben", [6]),
        ("Ada", [5, 4]),
    ]
