"""From what an issue or a letter says to the bytes of one reader's copy."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from digest.mail import strict
from digest.mail.dkim import FIELD, Signature, Signer
from digest.mail.headers import issue_headers, letter_headers
from digest.mail.render import MANAGE_SLOT, UNSUBSCRIBE_SLOT, Rendered
from digest.mail.wire import Form, Mark, Part, Segments, Slot, message, size, text_message
from digest.settings import Newsletter
from subscribers.tokens import Links, Mac

_IN_PARTS = ("MIME-Version", "Content-Type")
_TEXT_ALONE = (*_IN_PARTS, "Content-Language", "Content-Transfer-Encoding")
"""The fields that a message has by its shape, beside those of its kind."""

NOBODY = b"\0" * 16
"""A public id that no subscription has: its links answer politely and do nothing."""


class NotSendable(Exception):
    """A message failed the strict reading that every message has to pass (F-14); `problems` says where."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__(f"the message cannot be sent: {'; '.join(problems)}")


@dataclass(frozen=True)
class Mailing:
    """A message to many: the segments that all copies share, and what fills the slots."""

    segments: Segments = field(repr=False)
    links: Links
    domain: str
    size: int
    """About how many octets a copy has, its signature included."""
    language: str = ""
    """Of the pages that the links lead to."""
    signature: Signature | None = field(default=None, repr=False)
    """What signs the copies, where we do and not the relay."""

    def copy(self, address: str, delivery: bytes, subscription: bytes) -> list[bytes]:
        """One reader's copy, given their address and the public ids of delivery and subscription."""
        leave_token = self.links.leave_token(subscription)
        copy = self._form.fill(
            {
                "to": address.encode(),
                "message_id": self.message_id(delivery),
                "unsubscribe": self.links.leave_with(leave_token).encode("ascii"),
                "leave_page": self.links.leave_with(leave_token, self.language).encode("ascii"),
                "leave_token": leave_token.encode("ascii"),
                "manage": self.links.manage(subscription, self.language).encode("ascii"),
            },
        )
        return [self.signature.field(copy), *copy] if self.signature else copy

    def message_id(self, delivery: bytes) -> bytes:
        """Unique to a delivery, the same on every try, and telling nothing (F-22)."""
        return f"<{self._ids.digest(delivery)[:16].hex()}@{self.domain}>".encode("ascii")

    @cached_property
    def _form(self) -> Form:
        return Form(self.segments)

    @cached_property
    def _ids(self) -> Mac:
        return Mac(self.links.key, b"message-id\0")


def issue_mailing(
    newsletter: Newsletter,
    rendered: Rendered,
    links: Links,
    *,
    week: str,
    made_at: dt.datetime,
    by_hand: bool,
    signer: Signer | None = None,
) -> Mailing:
    """An issue's copies for one kind of reader, signed where there is a signer. Raises `NotSendable`."""
    with _sendable():
        headers = issue_headers(
            newsletter,
            subject=rendered.subject,
            base_url=links.base_url,
            week=week,
            made_at=made_at,
            by_hand=by_hand,
        )
    marks = (
        Mark(UNSUBSCRIBE_SLOT, "leave_page", _lengths(newsletter, links)["leave_page"]),
        Mark(MANAGE_SLOT, "manage", _lengths(newsletter, links)["manage"]),
    )
    return _mailing(newsletter, rendered, links, headers, marks, signer)


def letter_mailing(
    newsletter: Newsletter,
    rendered: Rendered,
    links: Links,
    *,
    made_at: dt.datetime,
    signer: Signer | None = None,
    is_reply: bool = False,
) -> Mailing:
    """A letter to one person, signed where there is a signer. `is_reply`: it answers a mail. Raises `NotSendable`."""
    with _sendable():
        headers = letter_headers(newsletter, subject=rendered.subject, made_at=made_at, is_reply=is_reply)
    return _mailing(newsletter, rendered, links, headers, (), signer)


def _mailing(
    newsletter: Newsletter,
    rendered: Rendered,
    links: Links,
    headers: list[tuple[str, bytes | Segments]],
    marks: tuple[Mark, ...],
    signer: Signer | None,
) -> Mailing:
    parts, fields = (strict.BOTH, _IN_PARTS) if rendered.html else (strict.TEXT_ALONE, _TEXT_ALONE)
    with _sendable():
        segments = _segments(newsletter.language, rendered, headers, marks)
    signature = signer.prepare(segments) if signer else None
    octets = size(segments, _lengths(newsletter, links)) + (signature.size if signature else 0)
    mailing = Mailing(segments, links, newsletter.sender.domain, octets, newsletter.language, signature)
    sample = b"".join(mailing.copy("reader@example.org", NOBODY, NOBODY))
    expected = [*([FIELD] if signer else []), *(name for name, _ in headers), *fields]
    if problems := strict.problems(sample, expected, parts):
        raise NotSendable(problems)
    if missing := {mark.slot for mark in marks} - {part.name for part in segments if isinstance(part, Slot)}:
        raise NotSendable((f"no place for {', '.join(sorted(missing))}",))
    return mailing


def _segments(
    language: str, rendered: Rendered, headers: list[tuple[str, bytes | Segments]], marks: tuple[Mark, ...]
) -> Segments:
    if not rendered.html:
        return text_message(headers, rendered.text, marks, language)
    return message(headers, (Part("plain", rendered.text), Part("html", rendered.html)), marks, language)


@contextlib.contextmanager
def _sendable() -> Iterator[None]:
    """What cannot be written (a UnicodeEncodeError is a ValueError) makes no message. Raises `NotSendable`."""
    try:
        yield
    except ValueError as error:
        raise NotSendable((str(error),)) from error


def _lengths(newsletter: Newsletter, links: Links) -> Mapping[str, int]:
    leave_page = len(links.leave_with(links.leave_token(NOBODY), newsletter.language))
    manage = len(links.manage(NOBODY, newsletter.language))
    ours = {"unsubscribe": len(links.leave(NOBODY)), "leave_page": leave_page, "leave_token": 43, "manage": manage}
    return {"to": 64, "message_id": 80, **ours}
