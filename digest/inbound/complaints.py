"""Complaints that mailbox providers pass on (RFC 5965, N-12). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from digest.inbound.mime import HEAD, Fields, Part, fields_of, value
from digest.inbound.notice import ByConfirmation, ByDelivery, ByPerson, BySubscription, Ignored, Unreadable
from digest.mail.verp import read_return_path
from subscribers.tokens import Purpose, hash_token, read_never_token, read_subscription_token

_TOKEN = re.compile(r"(?:/u/|unsubscribe(?:%20|\+|\s))([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")
_LETTERS_LINK = re.compile(r"/(never|confirm|manage)/([A-Za-z0-9_-]{43,150})(?![A-Za-z0-9_-])")
Ours = ByDelivery | BySubscription | ByPerson | ByConfirmation
"""Somebody by a token of ours."""
_ANGLED = re.compile(r"<([^<>\s]{3,254})>")


def is_feedback(mail: Part) -> bool:
    """Whether a mail is a report of that kind."""
    return bool(mail.of("message/feedback-report"))


def read_complaint(mail: Part, key: bytes) -> Ours | Ignored | Unreadable:
    """Whose complaint it is; providers leave the address out, so a link or return path of ours has to be in it.

    Whether it may be believed is the caller's to ask first.
    """
    report = fields_of(mail.of("message/feedback-report")[0].text)
    kind = value(report, "feedback-type").strip().lower()
    if kind == "not-spam":
        return Ignored("a reader has said that an issue is not spam")
    if kind != "abuse":
        return Unreadable("a feedback report that is no complaint about spam")
    return (
        _who(report, _returned(mail), key)
        or _by_letter(mail, key)
        or Unreadable("a complaint without a link or return path of ours in it")
    )


def _returned(mail: Part) -> list[Fields]:
    """The fields of the mail that somebody complained about."""
    whole = [inner.fields for part in mail.of("message/rfc822", "message/global") for inner in part.parts]
    return [*whole, *(fields_of(part.text) for part in mail.of("text/rfc822-headers"))]


def _who(report: Fields, returned: list[Fields], key: bytes) -> Ours | None:
    paths = [value(report, "original-mail-from"), *(value(fields, "return-path") for fields in returned)]
    for path in paths:
        match = _ANGLED.search(path)
        if (delivery := read_return_path(key, match[1] if match else path.strip())) is not None:
            return ByDelivery(delivery)
    for fields in returned:
        for token in _TOKEN.findall(value(fields, "list-unsubscribe")):
            if (subscription := read_subscription_token(key, Purpose.LEAVE, token)) is not None:
                return BySubscription(subscription)
    return None


def _by_letter(mail: Part, key: bytes) -> ByPerson | BySubscription | ByConfirmation | None:
    """Whose it is by a link in the returned text: a letter has no List-Unsubscribe, since it belongs to no list."""
    links = [(name, token) for text in _texts(mail) for name, token in _LETTERS_LINK.findall(text)]
    # What says most of whose it is comes first: a confirmation's own link is good for three days alone.
    for name, token in sorted(links, key=lambda link: ("never", "manage", "confirm").index(link[0])):
        if name == "never" and (person := read_never_token(key, token)):
            return ByPerson(person.blind_index, person.suppression_hash)
        if name == "manage" and (subscription := read_subscription_token(key, Purpose.MANAGE, token)):
            return BySubscription(subscription)
        if name == "confirm":
            return ByConfirmation(hash_token(token))
    return None


def _texts(mail: Part) -> Iterator[str]:
    """The texts of the mail that somebody complained about; a letter has two, and is short."""
    for whole in mail.of("message/rfc822", "message/global")[:1]:
        yield from (part.text[:HEAD] for part in whole.of("text/plain", "text/html")[:4])
