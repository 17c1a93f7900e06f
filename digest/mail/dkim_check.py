"""Reading what the signatures of a received message cover: for mail that a relay signs (F-29). Pure.

Whether a signature is right only the DNS can tell, and the receiver has asked it; what it covers is in the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parseaddr

from digest.mail.dkim import FIELD
from digest.mail.headers import MUST_BE_SIGNED
from digest.settings import are_aligned

ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
"""What receivers still accept (RFC 8301, RFC 8463)."""


@dataclass(frozen=True)
class Found:
    """One signature: in whose name it is, what it covers, and what is wrong with it as an issue's signature."""

    domain: str
    selector: str
    covered: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Looked:
    """What a received message shows."""

    signatures: tuple[Found, ...]
    absent: tuple[str, ...]
    """The fields that an issue has and this message has not."""
    said: tuple[str, ...]
    """The receiver's own words on signatures: `dkim=pass`, in its Authentication-Results (RFC 8601)."""

    @property
    def is_right(self) -> bool:
        """Whether it has all fields of an issue, and a signature in the sender's name that covers them."""
        return not self.absent and any(not one.problems for one in self.signatures)


def look(message: bytes) -> Looked:
    """Look at a message as it came, with whatever line ends it was saved."""
    fields = list(_fields(message))
    names = {name for name, _ in fields}
    sender = next((value for name, value in fields if name == "from"), "")
    domain = parseaddr(sender)[1].rpartition("@")[2].lower()
    return Looked(
        tuple(_found(_tags(value), domain) for name, value in fields if name == FIELD.lower()),
        tuple(name for name in MUST_BE_SIGNED if name.lower() not in names),
        tuple(said for name, value in fields if name == "authentication-results" for said in _VERDICT.findall(value)),
    )


_VERDICT = re.compile(r"\bdkim=[a-z]+")


def _fields(message: bytes) -> Iterator[tuple[str, str]]:
    """Name in small letters and unfolded value of each header field."""
    head = re.split(rb"\r?\n\r?\n", message.lstrip(), maxsplit=1)[0].decode("utf-8", "replace")
    for field in re.split(r"\r?\n(?![ \t])", head):
        name, colon, value = field.partition(":")
        # A mailbox file's "From …" line has a colon as well, in its time.
        if colon and " " not in name.rstrip():
            yield name.strip().lower(), " ".join(value.split())


def _tags(value: str) -> dict[str, str]:
    """The tags of a signature (RFC 6376 §3.2), blanks left out: none that we read may hold one."""
    pairs = (tag.partition("=") for tag in "".join(value.split()).split(";"))
    return {name: content for name, _, content in pairs if name}


def _found(tags: dict[str, str], sender: str) -> Found:
    covered = tuple(tags.get("h", "").split(":"))
    domain = tags.get("d", "").lower()
    return Found(domain, tags.get("s", ""), covered, tuple(_problems(tags, domain, covered, sender)))


def _problems(tags: dict[str, str], domain: str, covered: tuple[str, ...], sender: str) -> Iterator[str]:
    names = {name.lower() for name in covered}
    if missing := [name for name in MUST_BE_SIGNED if name.lower() not in names]:
        yield f"it does not cover {', '.join(missing)}"
    if not are_aligned(domain, sender):
        yield f"it is in the name of {domain or 'nobody'}, and the sender is of {sender or 'nowhere'}"
    if tags.get("a") not in ALGORITHMS:
        yield f"it is made by {tags.get('a') or 'nothing that it names'}, which receivers do not accept"
    if "l" in tags:
        yield "it covers only a part of the text (l=), so that anybody may add to it"
