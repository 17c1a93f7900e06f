"""Before anything is sent, this process shows that it can write mail (trap T-ALL of the requirements).

Versions tell little, since distributions mend security faults without changing them: so the traps are tried.
"""

from __future__ import annotations

import datetime as dt

from digest.mail.compose import NOBODY, NotSendable, issue_mailing
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered
from digest.settings import Mailbox, Newsletter, Source
from subscribers.tokens import Links

SUBJECTS = (
    "A plain subject",
    "خبرنامهٔ هفتگی دیدبان: آزادی مطبوعات و جامعهٔ مدنی در این هفته، از نگاه خبرنگاران ما",
    "=?utf-8?q?x=0D=0ABcc=3A_everybody=40example=2Eorg?=",
    "Ein später Gruß für Zoë: «déjà vu» – façade naïve, déjà vu encore, et puis encore une fois déjà vu",
    "One line\r\nBcc: everybody@example.org",
)
MADE_AT = dt.datetime(2026, 11, 19, 9, 0, tzinfo=dt.UTC)


def problems() -> tuple[str, ...]:
    """What this process would get wrong; nothing when all is well."""
    return tuple(f"{subject!r}: {problem}" for subject in SUBJECTS for problem in _tried(subject))


def _tried(subject: str) -> tuple[str, ...]:
    newsletter = Newsletter(
        slug="self-test",
        title="Self-test",
        sender=Mailbox(name="Žurnál, the “Watchdog”", address="digest@example.org"),
        sources=(Source(feed="https://www.example.org/"),),
    )
    # The unsubscribe address has 120 characters: from 76 on Python's own policies encode it away (trap T1).
    links = Links("https://" + "long-host-name." * 3 + "example.org/a/path", b"k" * 32)
    links = Links(links.base_url + "x" * (120 - len(links.leave(NOBODY))), b"k" * 32)
    text = f"Hello\n.\nFrom here\n{UNSUBSCRIBE_SLOT}\n{MANAGE_SLOT}\nسلام"
    html = f'<p>{subject}</p><a href="{UNSUBSCRIBE_SLOT}">x</a><a href="{MANAGE_SLOT}">y</a>'
    try:
        mailing = issue_mailing(
            newsletter, Rendered(subject, text, html), links, week="2026-W47", made_at=MADE_AT, by_hand=True
        )
    except NotSendable as error:
        return error.problems
    head = b"".join(mailing.copy("reader@example.org", NOBODY, NOBODY)).partition(b"\r\n\r\n")[0]
    expected = f"List-Unsubscribe: <{links.leave(NOBODY)}>".encode("ascii")
    return () if expected in head else ("the one-click address did not survive",)
