"""What a reader's own page shows of the mails is what they have."""

import re
from pathlib import Path

import pytest

from digest.configuration import parse
from digest.mail.kinds import Kind
from digest.mail.render import IssueView, Renderer
from digest.wiring import info_of, template_folders
from subscribers.choices import PAUSES, Choice, Mine
from subscribers.lifecycle import Format
from subscribers.pages import Frame, Pages
from tests.mail.render_samples import ENGLISH, PERSIAN, RUSSIAN


@pytest.mark.parametrize("page", ["en", "fa"])
@pytest.mark.parametrize("view", [ENGLISH, RUSSIAN, PERSIAN], ids=lambda view: view.language)
def test_the_subject_that_gives_nothing_away_is_the_mail_s_own(view: IssueView, page: str) -> None:
    paper = {
        "title": view.newsletter_title,
        "language": view.language,
        "sender": "W <w@example.org>",
        "sources": [{"feed": "https://www.example.org/"}],
    }
    settings = parse({"newsletters": {"w": paper}}, {}, Path("/nowhere/digest.toml"))
    renderer = Renderer(template_folders(settings, "email"))
    info = info_of(settings.newsletters["w"], renderer)
    mine = Mine((Choice(info, Format.SUMMARIES, is_neutral=True, paused_until=None),), ())
    pages = Pages(template_folders(settings, "web"), dated=renderer.dated)
    html = pages.render(
        "public/mine.html", Frame(page), mine=mine, said="", about=None, pauses=PAUSES, proof="", here="token"
    )
    subject = renderer.renderings(view)[Kind(is_neutral=True)].subject
    shown = re.findall(r'<span lang="(\w+)" dir="(\w+)">([^<]+)</span></span></span>', html)
    assert shown[1] == (view.language, view.direction, subject)
