"""The languages that pages speak: catalogues of their words, and which language a visitor is shown.

English is the source text; every other language is a catalogue `locale/<tag>.po` in a folder of templates, read when a
process starts. A newsroom's own catalogue is laid over ours message by message.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.support import Translations

SOURCE = "en"
"""The language that templates and code are written in."""
FOLDER = "locale"
MOST_ACCEPTED = 20
"""So many wishes of an `Accept-Language` are read; browsers send a handful."""
_PLACE = re.compile(r"%\((\w+)\)s")


class BadCatalogue(Exception):
    """A catalogue cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Tongue:
    """A language that a page can be in."""

    tag: str
    """As HTML names it (BCP 47)."""
    direction: str
    """`ltr` or `rtl`"""
    name: str
    """What its own speakers call it, for a link to it."""


@dataclass(frozen=True)
class Wish:
    """What a request says of languages."""

    asked: str = ""
    """The one that a link has chosen, from `?lang=`."""
    accepted: tuple[str, ...] = ()
    """Those that the browser is set to, the best first (RFC 9110 §12.5.4)."""
    is_repeatable: bool = True
    """Whether the same page comes when its address is opened with another language; not so for the answer to a form."""


def mark(sentence: str) -> str:
    """The same sentence. It says to whoever collects the words that a page will translate it."""
    return sentence


def wish(asked: str, accept_language: str, *, is_repeatable: bool = True) -> Wish:
    """Read what a request says of languages. Pure; whatever is no language is left out."""
    weighed = []
    for part in accept_language.split(",", MOST_ACCEPTED)[:MOST_ACCEPTED]:
        tag, _, weight = part.partition(";")
        quality = _quality(weight)
        if quality and (tag := tag.strip()).replace("-", "").isalnum():
            weighed.append((-quality, tag))
    accepted = tuple(tag for _, tag in sorted(weighed, key=lambda pair: pair[0]))
    return Wish(asked, accepted, is_repeatable)


def choose(offered: Sequence[Tongue], wished: Wish, own: Tongue | None = None) -> Tongue:
    """The language that a visitor is shown: the one asked for, else the page's own, else the browser's, else the first.

    Only what is offered is ever chosen, but for `own`.
    """
    if asked := _among(offered, wished.asked):
        return asked
    if own:
        return own
    accepted = (_among(offered, tag) for tag in wished.accepted)
    return next(filter(None, accepted), offered[0])


@lru_cache(maxsize=256)
def tongue(tag: str) -> Tongue:
    """What is known of a language. Raises `ValueError` for a tag that names none."""
    try:
        locale = Locale.parse(tag, sep="-")
    except UnknownLocaleError as error:
        raise ValueError(f"there is no language {tag!r}") from error
    name = locale.get_language_name(locale) or tag
    return Tongue(tag, locale.text_direction, name[:1].upper() + name[1:])


def read_catalogues(folders: Sequence[Path]) -> dict[str, Translations]:
    """The words of every language but the source, by tag in small letters. Raises `BadCatalogue`."""
    found: dict[str, Translations] = {}
    for folder in reversed(folders):
        for path in sorted((folder / FOLDER).glob("*.po")):
            words = _compiled(path)
            tag = path.stem.lower()
            found[tag] = found[tag].merge(words) if tag in found else words
    return found


def read_catalogue(path: Path) -> Catalog:
    """A catalogue as its file has it. Raises `BadCatalogue`."""
    try:
        tongue(path.stem)
        with path.open("rb") as file:
            return read_po(file, locale=path.stem.replace("-", "_"), abort_invalid=True)
    except (OSError, ValueError, PoFileError) as error:
        raise BadCatalogue(f"{path}: {error}") from error


def faults(catalogue: Catalog) -> Iterator[str]:
    """What is wrong with a catalogue's translations: places to fill in that the English has not, a lone per cent."""
    for message in catalogue:
        if message.id:
            for said in filter(None, _texts(message.string)):
                if reason := _fault(message, said):
                    yield f"“{_texts(message.id)[0]}”: {reason}"


def is_said(message: Message) -> bool:
    """Whether a message has its words, in each of its forms for numbers."""
    texts = _texts(message.string)
    return bool(texts) and all(texts) and not message.fuzzy


def _compiled(path: Path) -> Translations:
    catalogue = read_catalogue(path)
    for fault in faults(catalogue):
        raise BadCatalogue(f"{path}: {fault}")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _fault(message: Message, said: str) -> str:
    places = {place for text in _texts(message.id) for place in _PLACE.findall(text)}
    if unknown := set(_PLACE.findall(said)) - places:
        return f"nothing is called {', '.join(sorted(unknown))} here"
    try:
        said % dict.fromkeys(places, "")
    except (ValueError, TypeError):
        return "a per cent sign in a text is written %%"
    return ""


def _texts(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def _quality(weight: str) -> float:
    name, _, value = weight.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    return float(value) if re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", value.strip()) else 0.0


def _among(offered: Sequence[Tongue], tag: str) -> Tongue | None:
    """The offered language that a tag means: `fa-IR` is served by `fa`, and `pt` by `pt-BR`."""
    wanted = tag.lower()
    first = wanted.partition("-")[0]
    ranks: Mapping[str, Tongue] = {one.tag.lower(): one for one in reversed(offered)}
    if wanted in ranks or first in ranks:
        return ranks.get(wanted) or ranks[first]
    return next((one for one in offered if first and one.tag.lower().partition("-")[0] == first), None)
