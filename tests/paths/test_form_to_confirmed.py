"""From the form to "confirmed": who asked and pressed the button is mailed, whatever scanners and strangers do."""

import datetime as dt
import re
from pathlib import Path

import pytest

from subscribers.lifecycle import State
from tests.newsroom import Newsroom, first_link, get, hidden_fields, newsroom, post

NOW = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
READER = "reader@readers.example"


def count(room: Newsroom) -> dict[State, int]:
    return {state: number for state, number in room.house.service.count("watchdog").items() if number}


def test_a_reader_joins_in_two_steps_and_leaves_in_one(tmp_path: Path, database_url: str) -> None:
    with newsroom(tmp_path, database_url, NOW) as room:
        answer = room.subscribe(READER)
        assert READER not in answer
        assert count(room) == {State.PENDING: 1}
        room.send_letters()
        (letter,) = room.letters_to(READER)
        assert letter.message["List-Unsubscribe"] is None
        assert len(letter.raw) <= 8192

        link = first_link(letter, "/confirm/")
        for _ in range(2):
            assert get(link)[0] == 200
            assert get(link, **{"Sec-Purpose": "prefetch"})[0] in (200, 204)
        assert count(room) == {State.PENDING: 1}
        hidden = hidden_fields(get(link)[1])
        assert post(link, {})[0] != 500
        assert count(room) == {State.PENDING: 1}

        pressed = room.confirm(READER)
        assert count(room) == {State.CONFIRMED: 1}
        # Looking again says that it is done, and pressing an old page's button once more is no mistake.
        assert get(link)[1] == pressed
        assert post(link, hidden)[1] == pressed
        assert count(room) == {State.CONFIRMED: 1}


def test_every_address_gets_the_same_answer(tmp_path: Path, database_url: str) -> None:
    with newsroom(tmp_path, database_url, NOW) as room:
        new = room.subscribe(READER)
        waiting = room.subscribe(READER)
        room.send_letters()
        room.confirm(READER)
        confirmed = room.subscribe(READER)
        assert new == waiting == confirmed
        room.send_letters()
        # One letter to confirm, one that says it is so already: never more, however often somebody asks (O-21).
        for _ in range(5):
            room.subscribe(READER)
        room.send_letters()
        assert len(room.letters_to(READER)) == 2


def test_never_mail_me_again(tmp_path: Path, sqlite_url: str) -> None:
    with newsroom(tmp_path, sqlite_url, NOW) as room:
        room.subscribe(READER)
        room.send_letters()
        link = first_link(room.letters_to(READER)[0], "/never/")
        # The page speaks the letter's language, whatever the browser is set to.
        assert link.endswith("?lang=en")
        post(link, hidden_fields(get(link)[1]))
        room.clock.forward(days=40)
        room.subscribe(READER)
        room.send_letters()
        assert len(room.letters_to(READER)) == 1
        assert count(room).get(State.CONFIRMED) is None


@pytest.mark.parametrize("typed", ["", "no address", "a@b", "two@x.org, three@x.org", "x@y.org\r\nBcc: z@y.org"])
def test_a_bad_address_gets_the_form_again_with_a_sentence(tmp_path: Path, sqlite_url: str, typed: str) -> None:
    with newsroom(tmp_path, sqlite_url, NOW) as room:
        page = room.subscribe(typed)
        assert 'role="alert"' in page
        assert 'name="email"' in page
        room.send_letters()
        assert room.catcher.caught == []


def test_a_forged_or_old_link_says_what_to_do(tmp_path: Path, sqlite_url: str) -> None:
    with newsroom(tmp_path, sqlite_url, NOW) as room:
        room.subscribe(READER)
        room.send_letters()
        link = first_link(room.letters_to(READER)[0], "/confirm/")
        for wrong in (f"{room.base}/confirm/{'A' * 43}", f"{link[:-1]}{'B' if link[-1] != 'B' else 'C'}"):
            assert 'name="email"' in get(wrong)[1]
        room.clock.forward(days=4)
        assert 'name="email"' in get(link)[1]
        assert count(room) == {State.PENDING: 1}


def test_no_address_is_left_anywhere_in_plain_text(tmp_path: Path, sqlite_url: str) -> None:
    with newsroom(tmp_path, sqlite_url, NOW) as room:
        room.reader("canary-4711@readers.example")
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert any(path.suffix == ".db" for path in files)
        found = [path.name for path in files if re.search(rb"canary-4711", path.read_bytes(), re.IGNORECASE)]
        assert found == []
