"""The benchmarks' own rules: what a median is worth, what is said without the tools, and that the slow link is slow."""

import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench import main
from benchmarks.experiments import EXPERIMENTS
from benchmarks.ground import make_ground
from benchmarks.loop import signer
from benchmarks.rows import Line, Measured, NotMeasured, Row, judged, rows
from benchmarks.signing import CannotMeasure, check, write_key
from benchmarks.sizes import FULL, QUICK
from benchmarks.table import HEADINGS, as_markdown
from benchmarks.tools import Missing, find_tools, proxy
from digest.mail.headers import MUST_BE_SIGNED

FASTER = Row("faster", "ours against theirs", 1.2, " ×")
LIGHTER = Row("lighter", "memory", 20, " MB", at_most=True, digits=0)


def measured(*values: float) -> list[Measured]:
    return [Measured(value, f"from {value}") for value in values]


def test_a_row_is_judged_by_its_median_and_shows_its_range() -> None:
    line = judged(FASTER, measured(1.5, 0.4, 1.25, 1.1, 1.3))
    assert line == Line("ours against theirs", "≥ 1.20 ×", "1.25 ×", "0.40 × to 1.50 ×", "from 1.25", is_met=True)


def test_a_median_below_the_goal_falls_short() -> None:
    line = judged(FASTER, measured(1.19, 1.19, 5.0))
    assert (line.verdict, line.is_met) == ("short", False)


def test_where_less_is_better_more_than_the_goal_falls_short() -> None:
    assert judged(LIGHTER, measured(20)).verdict == "ok"
    assert judged(LIGHTER, measured(21)).verdict == "short"
    assert judged(LIGHTER, measured(21)).goal == "≤ 20 MB"


def test_of_two_rounds_the_median_is_between_them() -> None:
    assert judged(FASTER, measured(1.0, 2.0)).median == "1.50 ×"


@pytest.mark.parametrize("found", [NotMeasured("nothing can sign"), []])
def test_a_row_without_a_figure_falls_short_and_says_why(found: NotMeasured | list[Measured]) -> None:
    line = judged(FASTER, found)
    assert not line.is_met
    assert line.said.startswith("not measured: ")


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=9))
def test_better_rounds_never_make_a_row_worse(values: list[float]) -> None:
    before, after = (judged(FASTER, measured(*some)) for some in (values, [value + 1 for value in values]))
    assert after.is_met or not before.is_met


def test_every_row_of_both_sizes_is_found_by_one_experiment() -> None:
    found = [name for names in EXPERIMENTS.values() for name in names]
    assert sorted(found) == sorted(row.name for row in rows(FULL)) == sorted(row.name for row in rows(QUICK))


def test_the_full_measurement_is_what_the_goals_speak_of() -> None:
    assert FULL.rounds >= 5 <= FULL.long_rounds
    assert (FULL.connections, FULL.small, FULL.large, FULL.bound) == (20, 10_000, 500_000, 1000)


def test_markdown_has_a_line_for_each_row() -> None:
    head, rule, *body = as_markdown([judged(FASTER, measured(2)), judged(LIGHTER, NotMeasured("–"))]).splitlines()
    assert head.count("|") == rule.count("|") == len(HEADINGS) + 1
    assert [line.split(" | ")[4] for line in body] == ["ok", "short"]


def test_missing_tools_are_named_with_the_way_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"smtp-sink and smtp-source .*apt-get install postfix"):
        find_tools(places=str(tmp_path))


def test_without_the_tools_the_command_ends_with_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("benchmarks.bench.PLACES", str(tmp_path))
    assert main(["--quick"]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)


def test_the_issue_is_a_real_one_of_about_60_kb(tmp_path: Path, sqlite_url: str) -> None:
    ground = make_ground(tmp_path / "ground", sqlite_url, readers=3)
    try:
        frozen = ground.freeze()
        assert (frozen.audience, frozen.issue_id) == (3, ground.issues)
        assert 55_000 < ground.octets() < 65_000
    finally:
        ground.house.database.close()


def test_the_slow_link_is_slow_both_ways_and_loses_nothing() -> None:
    sent = bytes(range(256)) * 8192
    with socket.create_server(("127.0.0.1", 0)) as server, proxy(server.getsockname()[1], 0.02) as port:
        echo = threading.Thread(target=_echo, args=(server,))
        echo.start()
        with socket.create_connection(("127.0.0.1", port)) as one:
            begun = time.monotonic()
            one.sendall(sent)
            assert _read(one, len(sent)) == sent
            assert time.monotonic() - begun >= 0.02
        echo.join()


def _echo(server: socket.socket) -> None:
    one, _ = server.accept()
    with one:
        while data := one.recv(65536):
            one.sendall(data)


def _read(one: socket.socket, size: int) -> bytes:
    gathered = bytearray()
    while len(gathered) < size:
        gathered += one.recv(65536)
    return bytes(gathered)


def test_only_a_message_that_is_signed_is_taken_for_signed(tmp_path: Path) -> None:
    key = tmp_path / "dkim.pem"
    write_key(key)
    plain = b"\r\n".join(f"{name}: x".encode() for name in ("From", *MUST_BE_SIGNED[1:])) + b"\r\n\r\nText\r\n"
    check(signer(key.read_bytes(), "example.org")(plain), key)
    with pytest.raises(CannotMeasure):
        check(plain, key)
