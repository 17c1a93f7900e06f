"""From a mail to what it wants of us: a bounce, a complaint, somebody who leaves or subscribes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from digest.inbound import mime
from digest.inbound.authentication import is_authentic, is_signed_within, sender_of
from digest.inbound.automatic import is_automatic
from digest.inbound.complaints import is_feedback, read_complaint
from digest.inbound.mailboxes import JOINING, LEAVING
from digest.inbound.mime import Part
from digest.inbound.notice import (
    ByConfirmation,
    ByDelivery,
    ByPerson,
    BySubscription,
    Ignored,
    Notice,
    Sign,
    Unreadable,
)
from digest.inbound.posted import Posted
from digest.inbound.reports import is_report, read_bounce
from digest.inbound.status import Meaning
from digest.mail.verp import is_return_path, read_return_path
from digest.settings import Newsletter
from subscribers.tokens import Purpose, read_subscription_token

_POLITE = frozenset({"me", "please", "all"})
_TOKEN = re.compile(r"\bunsubscribe\s+([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])", re.IGNORECASE)
_REPLY = re.compile(r"^(?:\s*(?:re|fwd?|aw|wg|sv|vs|r|ответ)\s*:)+", re.IGNORECASE)


@dataclass(frozen=True)
class Ask:
    """A person's own wish, by a mail that is known to be theirs."""

    joins: bool
    address: str = field(repr=False)
    newsletter: str | None = None
    """Which one; none: to leave all."""


Said = list[Notice] | Ask | Ignored | Unreadable


@dataclass(frozen=True)
class Reader:
    """What is known here of mail that comes in."""

    key: bytes = field(repr=False)
    """The key of links and return paths."""
    newsletters: Mapping[str, Newsletter]
    authserv_id: str | None = None
    feedback_domains: tuple[str, ...] = ()
    """Who may complain for readers."""

    def read(self, posted: Posted) -> Said:
        """What a mail wants."""
        mail = mime.parse(posted.octets)
        if is_feedback(mail):
            return self._complaint(mail)
        if is_return_path(posted.recipient):
            return self._bounce(mail, posted)
        if is_report(mail):
            return Unreadable("a bounce that came to no return path of ours: nobody vouches for whose it is")
        return self._command(mail, posted)

    def _complaint(self, mail: Part) -> Said:
        if not is_authentic(mail.fields, self.authserv_id):
            return Unreadable("a complaint that nobody vouches for, or [inbound] authserv_id is not set")
        if not is_signed_within(mail.fields, self.authserv_id, self.feedback_domains):
            return Unreadable("a complaint of somebody who is not in [inbound] feedback_domains: anybody may write one")
        match read_complaint(mail, self.key):
            case ByDelivery() as copy:
                return [Notice(Sign.COMPLAINT, copy, reason="complaint")]
            case BySubscription() as link:
                # Whoever was forwarded an issue has its link, and may do no more with it than the link itself does.
                return [Notice(Sign.LEAVE, link, reason="complaint")]
            case ByPerson() | ByConfirmation() as letter:
                # Only whom a letter was sent to has its links.
                return [Notice(Sign.COMPLAINT, letter, reason="complaint")]
            case said:
                return said

    def _bounce(self, mail: Part, posted: Posted) -> Said:
        delivery = read_return_path(self.key, posted.recipient)
        if delivery is None:
            return Unreadable("a bounce to a return path that is not ours, or is damaged")
        said = read_bounce(mail, posted.octets, from_nobody=_is_from_nobody(mail, posted))
        match said:
            case Meaning(sign, status, reason):
                return [Notice(sign, ByDelivery(delivery), status, reason)]
            case Ignored() | Unreadable():
                return said
        if is_automatic(mail, None):
            return Ignored("an automatic answer, as of somebody who is away")
        return Unreadable("a mail to a return path that is no bounce we know")

    def _command(self, mail: Part, posted: Posted) -> Said:
        words = mime.unencoded(mail.first("subject")).strip()
        if match := _TOKEN.search(words):
            subscription = read_subscription_token(self.key, Purpose.LEAVE, match[1])
            if subscription is None:
                return Unreadable("somebody wants to leave by a link that is not ours, or is damaged")
            return [Notice(Sign.LEAVE, BySubscription(subscription), reason="mail")]
        asked = self._asked(words, mail, posted.recipient)
        if asked is None:
            return Unreadable("a mail that asks for nothing we know")
        if is_automatic(mail, posted.sender):
            return Ignored("an automatic mail: it is never answered")
        if not is_authentic(mail.fields, self.authserv_id):
            return Unreadable("somebody wants to subscribe or leave, and nobody vouches that the address is theirs")
        return self._which(asked, sender_of(mail.fields))

    def _asked(self, subject: str, mail: Part, recipient: str) -> tuple[bool, str] | None:
        """Whether to join or leave, and the newsletter that is named; none for a mail that asks for neither.

        A mailbox of the command's own name needs no words; anywhere else the words have to be the command alone.
        """
        local = recipient.rpartition("@")[0].lower()
        words = _words(subject) or _words(_first_line(mail))
        if local in LEAVING | JOINING:
            words = [local, *words]
        elif not self._is_command(words):
            return None
        box = local if local in self.newsletters else self._sent_from(recipient)
        return words[0] in JOINING, box or next((word for word in words if word in self.newsletters), "")

    def _is_command(self, words: list[str]) -> bool:
        return words[:1] != [] and words[0] in LEAVING | JOINING and {*words[1:]} <= {*self.newsletters, *_POLITE}

    def _sent_from(self, recipient: str) -> str:
        """The newsletter whose sender is written to, where it is one's alone."""
        found = [slug for slug, one in self.newsletters.items() if one.sender.address.lower() == recipient.lower()]
        return found[0] if len(found) == 1 else ""

    def _which(self, asked: tuple[bool, str], address: str) -> Said:
        joins, named = asked
        if joins and not named:
            if len(self.newsletters) > 1:
                return Unreadable("somebody wants to subscribe and does not say to which newsletter")
            named = next(iter(self.newsletters))
        return Ask(joins, address, named or None)


def _is_from_nobody(mail: Part, posted: Posted) -> bool:
    sender = mail.first("return-path").strip() if posted.sender is None else f"<{posted.sender}>"
    return sender == "<>"


def _words(line: str) -> list[str]:
    return re.findall(r"[\w-]+", _REPLY.sub("", line).lower())[:8]


def _first_line(mail: Part) -> str:
    texts = [part.text for part in mail.of("text/plain") if not part.parts]
    return next((line for text in texts[:1] for line in text.splitlines() if line.strip()), "")[:200]
