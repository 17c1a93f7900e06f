"""What is kept of a text from outside, in every place that keeps one: joiners stay, what steers a screen goes."""

import json
from email.header import decode_header, make_header
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.headers import mailbox
from digest.mail.replies import tidy
from subscribers.characters import cleaned, steering, steers
from tests.subscribers.test_transfer import Mover, mover  # noqa: F401 -- a fixture.
from tests.subscribers.test_transfer_systems import BUTTONDOWN, read
from tests.test_settings import problems, settings

PERSIAN = "دیده‌بان هفته"
"""With U+200C, as everybody writes it."""


@given(st.text())
def test_what_is_cleaned_steers_nothing_and_is_one_line(text: str) -> None:
    found = cleaned(text)
    assert not steering(found)
    assert found.splitlines() in ([], [found])
    assert cleaned(found) == found
    assert [char for char in text if not steers(char) and not char.isspace()] == list(found.replace(" ", ""))


def test_a_sender_has_a_persian_name() -> None:
    box = settings(sender=f"{PERSIAN} <digest@example.org>").newsletters["watchdog"].sender
    assert box.name == PERSIAN
    assert str(make_header(decode_header(mailbox("From", box).decode()))) == f"{PERSIAN} <digest@example.org>"


@pytest.mark.parametrize(
    ("char", "name"),
    [
        ("\u202e", "U+202E (right-to-left override)"),
        ("\u2028", "U+2028 (line separator)"),
        ("\x07", "U+0007 (a control character)"),
    ],
)
def test_a_character_that_no_header_may_hold_is_named(char: str, name: str) -> None:
    (found,) = problems(sender=f"Watch{char}dog <digest@example.org>")
    assert f"the character {name}" in found
    assert char not in found


def test_a_reply_is_kept_in_its_own_script() -> None:
    assert tidy(f"550 5.1.1 {PERSIAN}\u2028<a@example.org>\x1b[0m") == f"550 5.1.1 {PERSIAN} <<address>> [0m"


def test_where_they_signed_up_is_kept(tmp_path: Path) -> None:
    row = f"1,a@example.org,,regular,{PERSIAN},2024-01-15T10:00:00Z,,"
    _, (entry,) = read(tmp_path / "list.csv", f"{BUTTONDOWN}\n{row}\n")
    assert entry.source == PERSIAN


def test_the_evidence_of_our_own_export_is_kept(mover: Mover) -> None:  # noqa: F811
    evidence = json.dumps({"said": f"در فهرست «{PERSIAN}»"}, ensure_ascii=False)
    header = "email,status,subscribed_at,confirmed_at,language,format,neutral_subject,paused_until,method,evidence"
    quoted = '"' + evidence.replace('"', '""') + '"'
    row = f"a@example.org,subscribed,2026-01-01T10:00:00+00:00,2026-01-01T10:00:00+00:00,fa,full,no,,form,{quoted}"
    mover.bring(f"{header}\n{row}\n")
    assert mover.subscription("a@example.org").evidence == evidence
