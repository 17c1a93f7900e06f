"""What a status code or a server's words say of a mailbox: our own table (RFC 3463, RFC 5248, N-10 to N-13). Pure.

The names of the reasons are classes that such notices fall into, so that a person sees at a glance what is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from digest.inbound.notice import Sign

DISABLED = "mailbox-disabled"
"""It is there and takes nothing: also said of one that gets too much (S-22), so it counts only when it is repeated."""

_CODES: dict[str, tuple[Sign, str]] = {
    "1.1": (Sign.HARD, "user-unknown"),
    "1.2": (Sign.HARD, "host-unknown"),
    "1.3": (Sign.HARD, "bad-address"),
    "1.4": (Sign.SOFT, "ambiguous-address"),
    "1.6": (Sign.HARD, "has-moved"),
    "1.7": (Sign.POLICY, "sender-refused"),
    "1.8": (Sign.POLICY, "sender-refused"),
    "1.9": (Sign.SOFT, "relayed-to-old-server"),
    "1.10": (Sign.HARD, "takes-no-mail"),
    "2.0": (Sign.SOFT, "mailbox-trouble"),
    "2.1": (Sign.SOFT, DISABLED),
    "2.2": (Sign.SOFT, "mailbox-full"),
    "2.3": (Sign.SOFT, "too-large"),
    "2.4": (Sign.SOFT, "list-trouble"),
    "3.4": (Sign.POLICY, "too-large"),
    "3.5": (Sign.SOFT, "server-misconfigured"),
    "4.7": (Sign.SOFT, "expired"),
    "4.6": (Sign.SOFT, "loop"),
    "5.3": (Sign.SOFT, "too-many-recipients"),
    "7.13": (Sign.SOFT, DISABLED),
    "7.28": (Sign.POLICY, "too-fast"),
}
_SUBJECTS: dict[str, tuple[Sign, str]] = {
    "1": (Sign.SOFT, "address-trouble"),
    "2": (Sign.SOFT, "mailbox-trouble"),
    "3": (Sign.SOFT, "server-trouble"),
    "4": (Sign.SOFT, "network-trouble"),
    "5": (Sign.POLICY, "protocol"),
    "6": (Sign.POLICY, "content"),
    "7": (Sign.POLICY, "policy"),
}
_BOX = "(?:user|mailbox|recipient|address|account|alias)"
_IS_NOT = "(?:unknown|not (?:be )?found|does(?: not|n't) exist|not exist|unavailable|invalid|no longer|not listed)"
_NO = "(?:no such|unknown|invalid|nonexistent|unrouteable|unroutable|no mailbox|not a valid)"
# What a server says where its code says nothing. Refusals of us come first: they often name the mailbox too.
_WORDS: tuple[tuple[re.Pattern[str], Sign, str], ...] = tuple(
    (re.compile(words, re.IGNORECASE), sign, reason)
    for words, sign, reason in (
        (r"\bspam(?!haus)|unsolicited|junk mail|\bbulk mail\b", Sign.POLICY, "spam"),
        (r"black ?list|block ?list|\bdnsbl|\brbl\b|spamhaus|barracuda|listed (?:in|at|on)\b", Sign.POLICY, "blocked"),
        (r"\bdmarc\b|\bspf\b|\bdkim\b|unauthenticated", Sign.POLICY, "not-authenticated"),
        (r"rate limit|too (?:fast|quickly|many (?:messages|connections))|throttl", Sign.POLICY, "too-fast"),
        (r"\bvirus|malware|prohibited|content reject", Sign.POLICY, "content"),
        (r"reputation|polic(?:y|ies)|refused by|banned|not authori[sz]ed|blocked", Sign.POLICY, "policy"),
        (r"(?:mailbox|quota|inbox)[^.\n]{0,40}\b(?:full|exceed|exhausted)|over ?quota", Sign.SOFT, "mailbox-full"),
        (r"exceeded[^.\n]{0,30}quota|insufficient (?:disk|storage)|out of storage", Sign.SOFT, "mailbox-full"),
        (r"disabled|suspended|inactive|deactivated|not active|account[^.\n]{0,20}closed", Sign.SOFT, DISABLED),
        (rf"{_BOX}\b[^.\n]{{0,60}}\b{_IS_NOT}", Sign.HARD, "user-unknown"),
        (rf"{_NO}[^.\n]{{0,20}}\b(?:{_BOX}|person|local|here)", Sign.HARD, "user-unknown"),
        (r"does(?: not|n't) have an? [^\n]{1,60} account|bad destination mailbox", Sign.HARD, "user-unknown"),
        (r"recipient address rejected: access denied", Sign.HARD, "user-unknown"),
        (
            r"(?:host|domain)[^\n]{0,30}(?:unknown|not (?:be )?found|does(?: not|n't) exist)|no such domain|nxdomain",
            Sign.SOFT,
            "host-not-found",
        ),
        (r"timed? ?out|could not be delivered for|connection refused|unreachable|expired", Sign.SOFT, "expired"),
    )
)
_BASIC: dict[str, tuple[Sign, str]] = {
    "550": (Sign.HARD, "user-unknown"),
    "551": (Sign.HARD, "has-moved"),
    "553": (Sign.HARD, "bad-address"),
    "552": (Sign.SOFT, "mailbox-full"),
}
"""A basic code alone, said of a recipient (S-22)."""
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.])([45][0-5]\d)(?=[ -])")
_LONGEST = 4000
"""Characters of a server's words that are looked at."""


@dataclass(frozen=True)
class Meaning:
    """What was said of a mailbox."""

    sign: Sign
    status: str
    reason: str


def meaning(status: str, words: str) -> Meaning:
    """What a failure means, given its status code (may be empty) and the server's own words.

    The code decides where it says anything; where it is general (`5.0.0`) or missing, a code within the words does,
    then the words. A code of class 4 is never more than soft: the server itself would have tried again (RFC 3463 §3.1).
    """
    words = words[:_LONGEST]
    status = code_in(status)
    status = status if _says_something(status) else _best([status, *_codes_in(words)])
    found = _by_code(status, words) or _by_words(words) or _by_reply(words) or _by_subject(status)
    sign, reason = found or (Sign.SOFT, "unclear")
    if sign is Sign.HARD and (status.startswith("4") or _is_temporary(status, words)):
        sign = Sign.SOFT
    return Meaning(sign, status, reason)


def code_in(text: str) -> str:
    """The first enhanced status code in a text; empty where there is none."""
    return next(iter(_codes_in(text)), "")


def has_code(text: str) -> bool:
    """Whether a text has anything in it that a mail server would say of a failure."""
    return _REPLY.search(text) is not None or any(code[0] in "45" for code in _codes_in(text))


def _codes_in(text: str) -> list[str]:
    found = (f"{match[1]}.{int(match[2])}.{int(match[3])}" for match in _ENHANCED.finditer(text[:_LONGEST]))
    return [code for code in found if len(code) <= 9]  # noqa: PLR2004 -- `5.123.456`, and no version of a program.


def _best(codes: list[str]) -> str:
    """The first code that says something, else the first."""
    known = [code for code in codes if code]
    return next((code for code in known if _says_something(code)), known[0] if known else "")


def _says_something(status: str) -> bool:
    """Whether a code is more than `5.0.0` or `5.3.0`."""
    return bool(status) and not status.endswith(".0")


def _by_code(status: str, words: str) -> tuple[Sign, str] | None:
    detail = status.partition(".")[2]
    if detail == "4.1" and (found := _by_words(words)) and found[0] is Sign.HARD:
        # Exchange Online says so of a mailbox that its directory does not have.
        return found
    if detail.startswith("7.") and detail not in _CODES:
        return _SUBJECTS["7"]
    return _CODES.get(detail) or (_SUBJECTS.get(detail.partition(".")[0]) if _says_something(status) else None)


def _by_words(words: str) -> tuple[Sign, str] | None:
    return next(((sign, reason) for pattern, sign, reason in _WORDS if pattern.search(words)), None)


def _by_reply(words: str) -> tuple[Sign, str] | None:
    match = _REPLY.search(words)
    return _BASIC.get(match[1]) if match else None


def _by_subject(status: str) -> tuple[Sign, str] | None:
    return _SUBJECTS.get(status.split(".")[1]) if status.count(".") == 2 else None  # noqa: PLR2004 -- class.subject.detail


def _is_temporary(status: str, words: str) -> bool:
    """Whether only the words say how grave it is, and they begin with a 4."""
    match = _REPLY.search(words)
    return not status and match is not None and match[1].startswith("4")
