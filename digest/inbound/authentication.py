"""Whether our own mail server found a mail to be from where it says (RFC 8601). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from digest.inbound.mime import Fields, addresses_in, plain
from digest.settings import are_aligned

_METHOD = re.compile(r"\s*(dkim|dmarc)\s*(?:/\s*\d+\s*)?=\s*([a-z]+)", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)(header|smtp|policy)\s*\.\s*([a-z-]+)\s*=\s*([^\s;]+)", re.IGNORECASE)
_HARMLESS = re.compile(r"[A-Za-z0-9._@+-]+")
_UNCLEAR = "?"
"""Stands for what is no name for sure: a quoted string that could be read as more, a property given twice."""
_SAYS_NO = ("fail", "none")


@dataclass(frozen=True)
class Result:
    """What our server says of one method."""

    method: str
    """`dkim` or `dmarc`."""
    said: str
    """`pass`, `fail`, `none`, … in small letters."""
    properties: dict[str, str]
    """Like `header.d`, in small letters."""

    @property
    def signed(self) -> str:
        """The domain that has signed, of DKIM; empty where none is named."""
        return self.properties.get("header.d", self.properties.get("header.i", "").rpartition("@")[2])


def sender_of(fields: Fields) -> str:
    """The one address in From; empty where there are several fields or addresses, or none."""
    found = [value for name, value in fields if name == "from"]
    if len(found) != 1:
        return ""
    addresses = addresses_in(found[0])
    rest = (plain(found[0]) or "").replace(f"<{addresses[0]}>", "") if addresses else ""
    # Two readers of an odd field may see two senders: one that could be read so is nobody's.
    is_plain = len(addresses) == 1 and (rest.strip() == addresses[0] or not set(rest) & set("@,;<>"))
    return addresses[0] if is_plain else ""


def is_authentic(fields: Fields, authserv_id: str | None) -> bool:
    """Whether the domain in From has shown that the mail is its own, by DKIM or DMARC (`results_of` says whom we ask).

    Somebody else's words may have found a way into what our server wrote, so that one `pass` outvotes nothing.
    """
    domain = sender_of(fields).rpartition("@")[2].lower()
    results = results_of(fields, authserv_id) if domain else []
    dmarc = [one for one in results if one.method == "dmarc"]
    if any(one.said == "fail" for one in dmarc):
        return False
    is_aligned = bool(dmarc) and all(_is_pass_for(domain, one) for one in dmarc)
    return is_aligned or any(are_aligned(signed, domain) for signed in signers_of(results, domain))


def is_signed_within(fields: Fields, authserv_id: str | None, domains: Sequence[str]) -> bool:
    """Whether an authentic mail is from, and signed by, one of these domains or a part of it.

    Stricter than `is_authentic`: who reports complaints shares a larger domain with everybody who has a mailbox there.
    """
    sender = sender_of(fields).rpartition("@")[2].lower()
    signed = signers_of(results_of(fields, authserv_id), sender)
    is_plain = is_authentic(fields, authserv_id)
    return is_plain and any(_is_within(sender, one) and any(_is_within(by, one) for by in signed) for one in domains)


def _is_within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def signers_of(results: list[Result], domain: str) -> set[str]:
    """The domains whose DKIM signature is good; none where one that belongs to `domain` is not, or there is none."""
    dkim = [one for one in results if one.method == "dkim"]
    if any(one.said in _SAYS_NO and (not one.signed or are_aligned(one.signed, domain)) for one in dkim):
        return set()
    return {one.signed for one in dkim if one.said == "pass"}


def results_of(fields: Fields, authserv_id: str | None) -> list[Result]:
    """What our own mail server says of a mail; nothing where it is not plain what it says.

    Only the topmost fields in its name that follow one another are its own (§5): whatever stands below another field
    may have come with the mail.
    """
    found: list[Result] = []
    is_ours = False
    for name, value in fields:
        if name == "authentication-results":
            text = plain(value, lambda inside: inside if _HARMLESS.fullmatch(inside) else _UNCLEAR)
            if text is None:
                # Where a quotation mark is missing, what follows it may be anybody's.
                return []
            named, _, said = text.partition(";")
            if authserv_id and (named.split() or [""])[0].lower() == authserv_id.lower():
                is_ours = True
                found.extend(_results(said))
        elif is_ours:
            break
    return found


def _is_pass_for(domain: str, result: Result) -> bool:
    return result.said == "pass" and result.properties.get("header.from", domain).rpartition("@")[2] == domain


def _results(text: str) -> Iterator[Result]:
    for one in text.split(";"):
        if match := _METHOD.match(one):
            yield Result(match[1].lower(), match[2].lower(), _properties(one))


def _properties(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, name, value in _PROPERTY.findall(text.lower()):
        key = f"{kind}.{name}"
        found[key] = value if found.get(key, value) == value else _UNCLEAR
    return found
