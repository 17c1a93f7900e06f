"""Where sentences end, in the scripts that the newsrooms write in; and a text's first sentences. Pure."""

from __future__ import annotations

import re

from digest.issues.text import cut

# After these the next letter follows at once or after a closing quote; the full stops of Chinese need no space.
_END = re.compile(
    r"(?P<mark>[.!?…؟۔।॥։።]+|[。！？｡]+)"
    r"(?P<close>[\"'”’»›)\]」』]*)"
    r"(?=\s|$|(?<=[。！？｡」』”]))"
)
# A full stop after one of these ends no sentence: titles, units and the like, lower-cased.
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        """
        mr mrs ms mx dr st prof gen col lt maj sgt cpl capt cmdr adm gov sen rep rev hon pres amb min jr sr vs etc inc
        ltd co corp dept est approx ca cf vol ed eds fig pp mt ft ave blvd bros al messrs mme mlle
        г гг им ул д р т тыс млн млрд руб см напр проф акад ген др св стр пос обл
        bzw usw hr fr nr bd ing mgr mudr např tzv
        """,
    )
)
# These do only before a number: "No. 5", "Jan. 7".
_BEFORE_NUMBER = frozenset(re.findall(r"\w+", "no nos art par sec jan feb mar apr jun jul aug sep sept oct nov dec"))
_WORD = re.compile(r"[^\s\"'“”‘’«»()\[\]—–/]*$")


def sentence_ends(text: str) -> tuple[int, ...]:
    """The places just after each sentence of the text; its last one counts only where it is finished."""
    return tuple(match.end() for match in _END.finditer(text) if _is_end(text, match))


def _is_end(text: str, match: re.Match[str]) -> bool:
    rest = text[match.end() :].lstrip()
    if not rest:
        return True
    if match["mark"][0] in "。！？｡":
        return True
    following = rest.lstrip("\"'“‘«([—–- \u2066\u2067\u2068")
    # "Why?" he asked: a small letter goes on with the sentence.
    if following[:1].islower():
        return False
    return match["mark"] != "." or not _is_abbreviation(text[: match.start()], following)


def _is_abbreviation(before: str, following: str) -> bool:
    found = _WORD.search(before)
    word = found[0] if found else ""
    if "." in word:
        # "U.S", "a.m", "Ph.D", "т.е"; neither a number nor a host name is one.
        return re.fullmatch(r"[^\W\d]{1,2}(\.[^\W\d]{1,2})+", word) is not None
    if len(word) == 1 and word.isupper():
        return True
    small = word.casefold()
    return small in _ABBREVIATIONS or (small in _BEFORE_NUMBER and following[:1].isdigit())


def first_sentences(text: str, limit: int) -> str:
    """As many whole sentences as fit in `limit` characters; a first one that is too long is cut between words."""
    if len(text) <= limit:
        return text
    fitting = [end for end in sentence_ends(text) if end <= limit]
    return text[: fitting[-1]] if fitting else cut(text, limit)
