"""A publisher's reason against a finding: taken, kept, logged, and dead when its object is another."""

from __future__ import annotations

import sqlalchemy as sa

from digest.issues import control
from digest.issues.checks import examine
from digest.issues.edit import edit_item, move
from digest.issues.outcomes import Done, Finding, Override, Refused
from digest.issues.publish import Published, publish
from digest.models import Issue, IssueState, Item, KeptOverride
from tests.issues.newsroom import BASE_URL, HOUR, THURSDAY, House, templates

PLACEHOLDER = "A quote is TK here."


def findings(house: House, issue_id: int) -> tuple[Finding, ...]:
    with house.database.read() as session:
        return examine(session, issue_id, house.newsletter, templates(), base_url=BASE_URL).findings


def levels(house: House, issue_id: int) -> list[str]:
    return [one.level for one in findings(house, issue_id) if one.code == "placeholder"]


def drafted(house: House, summary: str = PLACEHOLDER) -> tuple[int, int]:
    """An issue whose second story waits to be filled in; returns the issue's id and the story's."""
    issue_id = house.draft().issue_id
    item = house.items(issue_id)[1]
    write(house, issue_id, item.id, summary)
    return issue_id, item.id


def write(house: House, issue_id: int, item_id: int, summary: str) -> None:
    with house.database.write() as session:
        assert isinstance(edit_item(session, issue_id, item_id, summary=summary, who="anna", now=THURSDAY), Done)


def approve(house: House, issue_id: int, *overrides: Override) -> Done | Refused:
    said = findings(house, issue_id)
    with house.database.write() as session:
        return control.approve(session, issue_id, who="Paula", now=THURSDAY, findings=said, overrides=overrides)


def key(house: House, issue_id: int) -> str:
    (one,) = [finding.key for finding in findings(house, issue_id) if finding.level == "blocks"]
    return one


def kept(house: House) -> list[KeptOverride]:
    with house.database.read() as session:
        rows = list(session.scalars(sa.select(KeptOverride)))
        session.expunge_all()
        return rows


def test_a_reason_lets_an_issue_out_and_is_kept_with_name_and_time(thursday: House) -> None:
    issue_id, _ = drafted(thursday)
    one = key(thursday, issue_id)
    result = approve(thursday, issue_id, Override(one, "  TK is the\nname of a party.  "))
    assert isinstance(result, Done)
    assert result.state is IssueState.APPROVED
    (row,) = kept(thursday)
    assert (row.key, row.code, row.who, row.at) == (one, "placeholder", "Paula", THURSDAY)
    assert row.reason == "TK is the name of a party."
    assert row.place.startswith("story 2: ")
    entry = next(entry for entry in thursday.log() if entry.action == "override")
    assert (entry.who, "Because: TK is the name of a party." in entry.detail) == ("Paula", True)
    (finding,) = [one for one in findings(thursday, issue_id) if one.code == "placeholder"]
    assert finding.level == "overridden"
    assert finding.overridden is not None
    assert (finding.overridden.who, finding.overridden.at) == ("Paula", THURSDAY)


def test_without_a_reason_nothing_is_approved_and_nothing_kept(thursday: House) -> None:
    issue_id, _ = drafted(thursday)
    one = key(thursday, issue_id)
    for given in ((), (Override(one, " \n "),), (Override("placeholder-000000000000", "Because."),)):
        result = approve(thursday, issue_id, *given)
        assert isinstance(result, Refused)
        assert [finding.key for finding in result.findings] == [one]
        assert "give a reason for each" in result.reason
    assert kept(thursday) == []
    assert thursday.issue(issue_id).state is IssueState.DRAFT


def test_each_finding_needs_a_reason_of_its_own(thursday: House) -> None:
    issue_id, _ = drafted(thursday)
    write(thursday, issue_id, thursday.items(issue_id)[2].id, "XXX said so.")
    first, second = (one.key for one in findings(thursday, issue_id) if one.level == "blocks")
    assert isinstance(approve(thursday, issue_id, Override(first, "Because.")), Refused)
    assert kept(thursday) == []
    assert isinstance(approve(thursday, issue_id, Override(first, "Because."), Override(second, "And because.")), Done)


def test_what_would_break_a_promise_cannot_be_overridden(thursday: House) -> None:
    issue_id = thursday.draft().issue_id
    thursday.set(issue_id, subject="")
    (finding,) = [one for one in findings(thursday, issue_id) if one.level == "blocks"]
    assert finding.is_final
    result = approve(thursday, issue_id, Override(finding.key, "I know better."))
    assert isinstance(result, Refused)
    assert "No reason can override that" in result.reason


def test_a_finding_of_somebody_else_without_a_code_cannot_be_overridden(thursday: House) -> None:
    issue_id = thursday.draft().issue_id
    alien = Finding("blocks", "somewhere", "Something is wrong.", "Mend it.")
    with thursday.database.write() as session:
        result = control.approve(
            session, issue_id, who="Paula", now=THURSDAY, findings=[alien], overrides=[Override(alien.key, "Because.")]
        )
    assert isinstance(result, Refused)


def test_a_reason_outlives_other_edits_and_dies_with_its_object(thursday: House) -> None:
    issue_id, item_id = drafted(thursday)
    assert isinstance(approve(thursday, issue_id, Override(key(thursday, issue_id), "It is a name.")), Done)
    with thursday.database.write() as session:
        move(session, issue_id, item_id, "down", who="anna", now=THURSDAY)
        edit_item(session, issue_id, item_id, headline="Another headline for it", who="anna", now=THURSDAY)
    write(thursday, issue_id, thursday.items(issue_id)[0].id, "The lead says something else now.")
    assert levels(thursday, issue_id) == ["overridden"]
    # The approval was of another revision, and the reason need not be given again.
    assert thursday.issue(issue_id).state is IssueState.DRAFT
    assert isinstance(approve(thursday, issue_id), Done)
    write(thursday, issue_id, item_id, "Another quote is TK here.")
    assert levels(thursday, issue_id) == ["blocks"]
    write(thursday, issue_id, item_id, PLACEHOLDER)
    assert levels(thursday, issue_id) == ["overridden"]


def test_a_reason_is_one_issue_s_own(thursday: House) -> None:
    issue_id, _ = drafted(thursday)
    assert isinstance(approve(thursday, issue_id, Override(key(thursday, issue_id), "It is a name.")), Done)
    other = _another(thursday, issue_id)
    with thursday.database.write() as session:
        session.execute(sa.update(KeptOverride).values(issue_id=other))
    assert levels(thursday, issue_id) == ["blocks"]


def _another(house: House, issue_id: int) -> int:
    with house.database.write() as session:
        old = session.get_one(Issue, issue_id)
        issue = Issue(newsletter="watchdog", week="2026-W30", state=IssueState.CANCELLED, created_at=THURSDAY)
        issue.window_start, issue.window_end, issue.send_at = old.window_start, old.window_end, old.send_at
        session.add(issue)
        session.flush()
        return issue.id


def test_the_freeze_asks_the_same_checks_with_the_same_reasons(thursday: House) -> None:
    issue_id, item_id = drafted(thursday)
    approve(thursday, issue_id, Override(key(thursday, issue_id), "It is a name."))
    # Somebody's hand in the database, and the reason has lost its object though the issue is approved.
    with thursday.database.write() as session:
        session.execute(sa.update(Item).where(Item.id == item_id).values(summary="Another TK."))
    refused = publish(thursday.database, issue_id, thursday.newsletter, templates(), BASE_URL, THURSDAY + 4 * HOUR)
    assert isinstance(refused, Refused)
    with thursday.database.write() as session:
        session.execute(sa.update(Item).where(Item.id == item_id).values(summary=PLACEHOLDER))
    done = publish(thursday.database, issue_id, thursday.newsletter, templates(), BASE_URL, THURSDAY + 4 * HOUR)
    assert isinstance(done, Published)
