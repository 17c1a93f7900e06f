"""From the link in a mail to "erased": two letters, three links, and nothing left that leads to the reader."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import sqlalchemy as sa

from digest.models import Delivery
from subscribers.models import Subscriber, Suppression
from tests.newsroom import Newsroom, first_link, get, hidden_fields, newsroom, post

NOW = dt.datetime(2026, 11, 18, 18, 0, tzinfo=dt.UTC)
READER = "reader@readers.example"


def own_page(room: Newsroom) -> str:
    """Ask for a fresh link by the one in a mail, and find it in the letter that comes."""
    manage = first_link(room.letters_to(READER)[-1], "/manage/")
    answer = post(manage, {"proof": hidden_fields(get(manage)[1])["proof"]})[1]
    assert READER not in answer
    room.send_letters()
    letter = room.letters_to(READER)[-1]
    assert letter.message["List-Unsubscribe"] is None
    assert len(letter.raw) <= 8192
    return first_link(letter, "/mine/")


def test_a_reader_sees_what_is_held_and_is_erased(tmp_path: Path, database_url: str) -> None:
    with newsroom(tmp_path, database_url, NOW) as room:
        room.reader(READER)
        room.subscribe(READER)
        room.send_letters()
        mine = own_page(room)
        page = get(mine)[1]
        proof = re.findall(r'name="proof" value="([^"]+)"', page)[0]
        status, text = post(f"{mine}/export", {"proof": proof})
        assert status == 200
        held = json.loads(text)
        assert [one["letter"] for one in held["letters"]] == ["confirm", "already-subscribed", "manage"]
        assert READER not in text

        status, answer = post(f"{mine}/erase", hidden_fields(get(f"{mine}/erase")[1]))
        assert (status, "Everything is erased" in answer) == (200, True)
        with room.house.database.read() as session:
            assert session.scalars(sa.select(Subscriber)).all() == []
            assert set(session.scalars(sa.select(Delivery.subscriber_id))) == {None}
            assert session.scalars(sa.select(Suppression.reason)).all() == ["erased"]
        # The page that is left open, and the link in the mail, say nothing of it and do nothing.
        assert get(mine)[0] == 404
        before = len(room.catcher.caught)
        manage = first_link(room.letters_to(READER)[-2], "/manage/")
        assert post(manage, {"proof": hidden_fields(get(manage)[1])["proof"]})[0] == 200
        room.send_letters()
        assert len(room.catcher.caught) == before
