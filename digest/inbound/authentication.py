"""Whether our own mail server found a mail to be from where it says (RFC 8601). Pure."""

from __future__ import annotations

import re

from digest.inbound.mime import Fields, addresses_in, without_comments, without_quotes
from digest.settings import are_aligned

_METHOD = re.compile(r"\s*(dkim|dmarc|spf)\s*(?:/\s*\d+\s*)?=\s*([a-z]+)", re.IGNORECASE)
_PROPERTY = re.compile(r"\b(header|smtp|policy)\.([a-z-]+)\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)


def sender_of(fields: Fields) -> str:
    """The one address in From; empty where there are several fields or addresses, or none."""
    found = [value for name, value in fields if name == "from"]
    if len(found) != 1:
        return ""
    addresses = addresses_in(found[0])
    rest = without_quotes(found[0]).replace(f"<{addresses[0]}>", "") if addresses else ""
    # Two readers of an odd field may see two senders: one that could be read so is nobody's.
    is_plain = len(addresses) == 1 and (rest.strip() == addresses[0] or not set(rest) & set("@,;<>"))
    return addresses[0] if is_plain else ""


def is_authentic(fields: Fields, authserv_id: str | None) -> bool:
    """Whether the domain in From has shown that the mail is its own, by DKIM or DMARC.

    Only what our own server wrote counts (§5): the topmost fields in its name. Whatever stands below a `Received` that
    follows them may have come with the mail.
    """
    domain = sender_of(fields).rpartition("@")[2].lower()
    if not authserv_id or not domain:
        return False
    results = [result for text in _ours(fields, authserv_id) for result in _results(text)]
    failed = any(method == "dmarc" and said == "fail" for method, said, _ in results)
    return not failed and any(_vouches(domain, *result) for result in results)


def _vouches(domain: str, method: str, said: str, properties: dict[str, str]) -> bool:
    if said != "pass":
        return False
    if method == "dmarc":
        return properties.get("header.from", domain).rpartition("@")[2] == domain
    signed = properties.get("header.d", properties.get("header.i", "").rpartition("@")[2])
    return method == "dkim" and are_aligned(signed, domain)


def _ours(fields: Fields, authserv_id: str) -> list[str]:
    found: list[str] = []
    for name, text in fields:
        if name == "received" and found:
            break
        if name == "authentication-results":
            plain = without_comments(text)
            named, _, results = plain.partition(";")
            if (named.split() or [""])[0].strip('"').lower() == authserv_id.lower():
                found.append(results)
    return found


def _results(text: str) -> list[tuple[str, str, dict[str, str]]]:
    found = []
    for one in text.split(";"):
        if match := _METHOD.match(one):
            properties = {f"{kind}.{name}".lower(): value.lower() for kind, name, value in _PROPERTY.findall(one)}
            found.append((match[1].lower(), match[2].lower(), properties))
    return found
