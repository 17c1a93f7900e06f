"""What somebody looks for: their words become terms, terms a query that no input can break, and marks in a text. Pure.

Words are looked for by their beginnings (`court` finds courts), all of them in one place; in quotation marks exactly as
they stand, one after the other. Nothing else in the text means anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from digest.folding import Token, tokens, words

MOST_TERMS = 12
MOST_WORDS = 24
"""Words in one phrase."""
LONGEST = 300
"""Characters of a text that are looked at."""
SHORTEST_BEGINNING = 2
"""Letters from which on a word stands for all that begin so; a single one would stand for a tenth of everything."""
SNIPPET = 280
"""Characters of a long text that are shown around the first word found."""
_BEFORE = 90
"""Of these so many, at most, stand before that word."""
# Marks open and close in as many ways as there are languages; which one is which hardly anybody keeps apart.
_QUOTED = re.compile('["“”„‟«»]([^"“”„‟«»]*)(?:["“”„‟«»]|$)')

Passage = tuple[tuple[str, bool], ...]
"""A text in pieces, each with whether it was looked for."""


@dataclass(frozen=True)
class Term:
    """Words that have to stand one after the other; the last may be the beginning of one."""

    words: tuple[str, ...]
    is_beginning: bool


def terms_of(text: str) -> tuple[Term, ...]:
    """What is looked for; empty where the text has no word in it."""
    rest = text[:LONGEST]
    found = [Term(words(match[1])[:MOST_WORDS], is_beginning=False) for match in _QUOTED.finditer(rest)]
    for chunk in _QUOTED.sub(" ", rest).split():
        inside = words(chunk)[:MOST_WORDS]
        found.append(Term(inside, is_beginning=bool(inside) and len(inside[-1]) >= SHORTEST_BEGINNING))
    return tuple(dict.fromkeys(term for term in found if term.words))[:MOST_TERMS]


def for_fts5(terms: Iterable[Term]) -> str:
    """The query as SQLite's FTS5 reads it. A folded word has letters and digits alone, so quoting it is enough."""

    def one(term: Term) -> str:
        phrase = f'"{" ".join(term.words)}"'
        # The very word counts twice, so that it stands before those that merely begin so.
        return f"({phrase} OR {phrase} *)" if term.is_beginning else phrase

    return " AND ".join(map(one, terms))


def for_tsquery(terms: Iterable[Term]) -> str:
    """The query as PostgreSQL's `tsquery` reads it, with the same meaning."""

    def one(term: Term) -> str:
        phrase = " <-> ".join(f"'{word}'" for word in term.words)
        return f"({phrase} | {phrase}:*)" if term.is_beginning else f"({phrase})"

    return " & ".join(map(one, terms))


def marked(text: str, terms: Sequence[Term]) -> Passage:
    """A text with what was looked for marked in it."""
    return _cut_up(text, _spans(text, terms))


def snippet(text: str, terms: Sequence[Term]) -> Passage:
    """A long text around the first word that was looked for, cut between words."""
    text = " ".join(text.split())
    spans = _spans(text, terms)
    if len(text) <= SNIPPET:
        return _cut_up(text, spans)
    start = max(0, spans[0][0] - _BEFORE) if spans else 0
    start = 0 if start < _BEFORE else text.find(" ", start) + 1
    # Where no space comes before the word found, the word itself is where it begins.
    start = min(start, spans[0][0]) if spans else 0
    end = min(len(text), start + SNIPPET)
    end = end if end == len(text) else max(text.rfind(" ", start, end), start) or end
    inside = [(first - start, min(last, end) - start) for first, last in spans if start <= first < end]
    before, after = ("… " if start else ""), (" …" if end < len(text) else "")
    pieces = _cut_up(text[start:end], inside)
    return tuple(piece for piece in ((before, False), *pieces, (after, False)) if piece[0])


def _spans(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Where the terms stand, in order, none within another."""
    found = list(tokens(text))
    hits = sorted(span for term in terms for span in _of_term(found, term))
    spans: list[tuple[int, int]] = []
    for start, end in hits:
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _of_term(found: Sequence[Token], term: Term) -> Iterable[tuple[int, int]]:
    length = len(term.words)
    for place in range(len(found) - length + 1):
        run = found[place : place + length]
        *before, last = (token.word for token in run)
        fits = last.startswith(term.words[-1]) if term.is_beginning else last == term.words[-1]
        if fits and tuple(before) == term.words[:-1]:
            yield run[0].start, run[-1].end


def _cut_up(text: str, spans: Iterable[tuple[int, int]]) -> Passage:
    pieces, at = list[tuple[str, bool]](), 0
    for start, end in spans:
        pieces += [(text[at:start], False), (text[start:end], True)]
        at = end
    pieces.append((text[at:], False))
    return tuple(piece for piece in pieces if piece[0])
