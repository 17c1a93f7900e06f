"""The text of a real page of the blog, as a page: two posts and all the debris around them."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from digest.gather.entry import Entry
from digest.gather.page import read_page

SEED = Path(__file__).resolve().parents[3] / "shared" / "seeds" / "watchdog-blog-page.txt"
FIRST = "A new report by the Organized Crime and Corruption Reporting Project (OCCRP) alleges Azerbaijan"
DEBRIS = ("please wait", "No media source", "0:00", "WATCH", "Subscribe", "Load more", "About This Blog",
          "Accessibility", "Breaking News", "Disturbing Video Shows", "Journalists In Trouble")  # fmt: skip


def pages() -> list[str]:
    """The text as HTML in three ways: paragraphs, lines as paragraphs, and bare text with breaks."""
    text = SEED.read_text(encoding="utf-8")
    blocks = [html.escape(block.strip()) for block in re.split(r"\n\s*\n", text) if block.strip()]
    return [
        "".join(f"<p>{block}</p>" for block in blocks),
        "".join(f"<p>{line}</p>" for block in blocks for line in block.split("\n")),
        "<div>" + "<br /><br />".join(block.replace("\n", "<br />") for block in blocks) + "</div>",
    ]


@pytest.fixture(params=[0, 1, 2], ids=["paragraphs", "lines", "bare text"])
def posts(request: pytest.FixtureRequest) -> list[Entry]:
    if not SEED.is_file():
        pytest.skip("needs ../shared/seeds, which is not here")
    return read_page(f'<html lang="en"><body>{pages()[request.param]}</body></html>', "https://www.rferl.org/Watchdog")


def test_the_page_is_two_posts(posts: list[Entry]) -> None:
    assert [post.title for post in posts] == [
        f"{FIRST} has been spying on…",
        "Ramzan Kadyrov loves a party",
    ]
    assert len({post.guid for post in posts}) == 2


def test_the_words_of_a_picture_are_its_caption(posts: list[Entry]) -> None:
    assert [post.image_caption for post in posts] == [
        "Khadija Ismayilova is one of the Azerbaijani journalists who was reportedly targeted.",
        "Chechen leader Ramzan Kadyrov",
    ]


def test_each_story_is_whole(posts: list[Entry]) -> None:
    first, second = (post.body for post in posts)
    assert first.startswith("<p>A new report by the Organized Crime")
    assert first.endswith("abusing power to stifle dissent.</p>")
    assert second.startswith("<p>BILECA, Bosnia-Herzegovina -- Ramzan Kadyrov loves a party.</p>")
    assert second.endswith("<p>Written by Andy Heil in Prague based on reporting by Gojko Veselinovic</p>")
    text = SEED.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if len(line) > 100 and "curated digest" not in line]
    story_lines = [line for line in lines if "singular mission" not in line and "take risks" not in line]
    for line in story_lines:
        assert html.escape(line, quote=False) in first + second
    assert len(story_lines) > 40


def test_no_debris_is_left(posts: list[Entry]) -> None:
    for post in posts:
        for words in DEBRIS:
            assert words not in post.body
            assert words not in post.summary
