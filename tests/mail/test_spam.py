"""A spam filter's command, played by small scripts: its points, its silence, its absence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from digest.mail.spam import COMMANDS, NoScore, Score, read, score

REPORT = """Spam detection software, running on the system "mx", has NOT identified this incoming email as spam.

Content analysis details:   (3.4 points, 5.0 required)

 pts rule name              description
---- ---------------------- --------------------------------------------------
-0.0 NO_RELAYS              Informational: message was not relayed via SMTP
 1.1 SUBJ_ALL_CAPS          Subject is all capitals
 2.3 HTML_IMAGE_ONLY_08     BODY: HTML: images with 400-800 bytes of
                            words
"""


def command(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "filter.py"
    script.write_text(f"import sys, time\nmail = sys.stdin.buffer.read()\n{body}\n", encoding="utf-8")
    return [sys.executable, str(script)]


def test_a_report_s_points_and_heaviest_rules_are_read() -> None:
    answer = read(REPORT, "spamc")
    assert isinstance(answer, Score)
    assert (answer.score, answer.required) == (3.4, 5.0)
    assert [line.split()[1] for line in answer.said] == ["HTML_IMAGE_ONLY_08", "SUBJ_ALL_CAPS"]


def test_the_mail_is_given_to_the_command(tmp_path: Path) -> None:
    points = 'print(f"Content analysis details:   ({len(mail)}.0 points, 5.0 required)")'
    assert score(b"x" * 7, command(tmp_path, points), 30) == Score(7.0, 5.0)


def test_a_good_mail_may_have_less_than_nothing() -> None:
    assert read("Content analysis details:   (-1.2 points, 5.0 required)", "x") == Score(-1.2, 5.0)


@pytest.mark.parametrize("report", ["", "0/0\n", "Content analysis details: none"])
def test_an_answer_without_points_is_none(report: str) -> None:
    answer = read(report, "spamc")
    assert isinstance(answer, NoScore)
    assert "does its daemon run?" in answer.reason


def test_a_command_that_is_not_there_is_said_with_what_to_do() -> None:
    answer = score(b"", ["no-such-filter"], 1)
    assert isinstance(answer, NoScore)
    assert 'set [checks] spam = "off"' in answer.reason


def test_a_command_that_hangs_is_waited_for_as_long_as_the_settings_say(tmp_path: Path) -> None:
    answer = score(b"", command(tmp_path, "time.sleep(60)"), 0.3)
    assert isinstance(answer, NoScore)
    assert "within 0.3 seconds" in answer.reason


def test_spamassassin_is_told_to_ask_nobody_else() -> None:
    assert "-L" in COMMANDS["spamassassin"]
