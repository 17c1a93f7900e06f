"""`digest schedule` and `digest search` as an operator uses them."""

import json
from pathlib import Path

import pytest

from digest.configuration import load
from digest.models import Issue, IssueState
from digest.wiring import build, utc_now
from tests.commands import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An installation, newly made."""
    assert run(tmp_path, "init")[0] == 0
    return tmp_path


def coming(folder: Path) -> list[dict[str, object]]:
    """What is coming, for programs."""
    code, said = run(folder, "schedule", "--json", "--count", "4")
    assert code == 0, said
    found: list[dict[str, object]] = json.loads(said)["watchdog"]
    return found


def test_a_week_is_skipped_moved_and_put_back(folder: Path) -> None:
    _, second, third, _ = coming(folder)
    code, said = run(folder, "schedule", "skip", f"watchdog/{second['week']}", "--reason", "The newsroom moves house")
    assert (code, said) == (0, f"watchdog/{second['week']} is skipped.\n")
    code, said = run(folder, "schedule", "move", str(third["week"]), "tue 17:00", "-r", "before the holidays")
    assert code == 0
    assert f"watchdog/{third['week']} goes out on Tuesday " in said
    after = coming(folder)
    assert [one["week"] for one in after][1] == third["week"]
    assert after[1]["skipped"] == [second["week"]]
    assert after[1]["moved_from"] == third["local"]
    changes = after[1]["changes"]
    assert isinstance(changes, list)
    assert [(one["week"], one["reason"]) for one in changes] == [
        (second["week"], "The newsroom moves house"),
        (third["week"], "before the holidays"),
    ]
    _, said = run(folder, "schedule")
    assert "before the holidays" in said
    assert "The newsroom moves house" in said
    for one in (second, third):
        code, said = run(folder, "schedule", "restore", str(one["week"]))
        assert code == 0
        assert f"watchdog/{one['week']} goes out on Thursday " in said
    assert [one["week"] for one in coming(folder)][1:3] == [second["week"], third["week"]]


def test_what_cannot_be_done_is_one_line(folder: Path) -> None:
    week = str(coming(folder)[1]["week"])
    for words, line in (
        (("skip", week), "Say why there is no issue"),
        (("skip", "2020-W01", "-r", "x"), "The hour of watchdog/2020-W01 has passed."),
        (("skip", "2026-W54", "-r", "x"), "'2026-W54' is not a week: 2026 has no week 54."),
        (("skip", f"other/{week}", "-r", "x"), "There is no newsletter 'other'; there are: watchdog."),
        (("move", week, "whenever"), "'whenever' is not a time; write it like"),
        (("move", week, "2020-01-01 10:00"), "is too far from its week"),
    ):
        code, said = run(folder, "schedule", *words)
        assert code == 1, said
        assert said.startswith(line) or line in said
        assert said.count("\n") == 1
    assert run(folder, "schedule", "burn", week)[0] == 2


def test_of_several_newsletters_one_has_to_be_named(folder: Path) -> None:
    config = (folder / "digest.toml").read_text()
    start = config.index("[newsletters.watchdog]")
    (folder / "digest.toml").write_text(config + config[start:].replace("newsletters.watchdog", "newsletters.other"))
    code, said = run(folder, "schedule", "skip", "2027-W10", "-r", "x")
    assert (code, said) == (
        1,
        "There are several newsletters; say which one's week is meant, like watchdog/2026-W47.\n",
    )
    assert run(folder, "schedule", "-n", "other")[1].startswith("other")


def test_search_finds_and_is_made_anew(folder: Path) -> None:
    code, said = run(folder, "search")
    assert code == 1
    assert said.startswith("Say what to look for: digest search court")
    assert run(folder, "search", "court")[1].startswith("There is no database at ")
    assert run(folder, "users", "first")[0] == 0
    assert run(folder, "search", "court") == (
        0,
        "Nothing was found. Words are found by their beginnings, so a shorter one finds more.\n",
    )
    house = build(load(folder / "digest.toml", {}))
    with house.database.write() as session:
        now = utc_now()
        times = {"window_start": now, "window_end": now, "send_at": now, "created_at": now}
        session.add(
            Issue(newsletter="watchdog", week="2026-W47", state=IssueState.DRAFT, subject="A court rules", **times)
        )
    house.database.close()
    code, said = run(folder, "search", "court", "rule")
    assert code == 0
    assert "watchdog/2026-W47" in said
    assert "A [court] [rules]" in said
    assert "1 place\n" in said
    assert "Nothing was found" in run(folder, "search", "court a")[1]
    assert json.loads(run(folder, "search", "COURT", "--year", "2026", "--json")[1])["total"] == 1
    assert json.loads(run(folder, "search", "court", "--year", "2025", "--json")[1])["hits"] == []
    assert run(folder, "search", "--rebuild") == (0, "The index is made anew; it has 1 entry.\n")
