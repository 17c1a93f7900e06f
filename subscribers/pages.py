"""Templates become pages: one Jinja environment for each language that there are words for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from babel.support import NullTranslations
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from subscribers.languages import SOURCE, Tongue, Wish, choose, read_catalogues, tongue


class Paper(Protocol):
    """What a page's frame says of a newsletter."""

    @property
    def title(self) -> str:
        """Its name."""

    @property
    def language(self) -> str:
        """The tag of the language that it is written in."""

    @property
    def direction(self) -> str:
        """Which way that is written: `ltr` or `rtl`."""


@dataclass(frozen=True)
class Frame:
    """What stands around a page's content, and the language of both."""

    language: str = SOURCE
    tongues: tuple[Tongue, ...] = ()
    """The languages that the page can be changed to, where there is a choice."""
    keep: str = ""
    """What a link to another page ends in. No cookie remembers the visitor's choice: each link says it again."""
    head: Paper | None = None
    """The newsletter whose title stands at the head; without one it is what every page was given."""


IN_ENGLISH = Frame()


class Pages:
    """Renders the templates of some folders; the first folder that has one wins, so that a newsroom can have its own.

    What every page may need (`site_title`) can be given once, as keywords. Safe to share between threads. Raises
    `subscribers.languages.BadCatalogue` if a language's words cannot be used.
    """

    def __init__(self, folders: Sequence[Path], **everywhere: object) -> None:
        self._words: dict[str, NullTranslations] = {SOURCE: NullTranslations(), **read_catalogues(folders)}
        loader = FileSystemLoader(folders)
        self._environments = {tag: _environment(loader, words, everywhere) for tag, words in self._words.items()}
        self._plain: dict[tuple[str, Frame], str] = {}

    def plain(self, name: str, frame: Frame) -> str:
        """A page that is given nothing but its frame, the same for everybody: it is made once.

        Where its template is changed, that is seen with the next start, as with the words. Raises as `render` does.
        """
        page = self._plain.get((name, frame))
        if page is None:
            page = self._plain[name, frame] = self.render(name, frame)
        return page

    def render(self, name: str, frame: Frame = IN_ENGLISH, /, **context: object) -> str:
        """The page that a template makes of some values, in the frame's language; in English where that has no words.

        Raises `jinja2.TemplateNotFound`, `jinja2.UndefinedError` for a name that was not given, and
        `jinja2.exceptions.SecurityError` for a template that reaches for more than its values.
        """
        spoken = self.spoken(frame.language)
        around = {"language": spoken.tag, "direction": spoken.direction, "tongues": frame.tongues, "keep": frame.keep}
        if frame.head:
            around["site_title"] = frame.head.title
            around["site_language"], around["site_direction"] = frame.head.language, frame.head.direction
        return self._environments[self._key(frame.language)].get_template(name).render({**context, **around})

    def say(self, sentence: str, language: str) -> str:
        """One of our own English sentences in a language; as it is where there is no translation."""
        return self._words[self._key(language)].gettext(sentence)

    def spoken(self, language: str) -> Tongue:
        """The language that a page for readers of a language is written in: theirs where there are words for it."""
        return replace(tongue(self._key(language)), tag=language) if self._key(language) != SOURCE else tongue(SOURCE)

    def offered(self, papers: Iterable[Paper]) -> tuple[Tongue, ...]:
        """The languages that visitors may choose from: those of the newsletters, and English where there are several.

        A site with one newsletter speaks that one's language and no other.
        """
        tags = [paper.language for paper in papers]
        spoken = [self.spoken(tag) for tag in (tags if len(tags) == 1 else [*tags, SOURCE])]
        return tuple({one.tag: one for one in spoken}.values())

    def frame(
        self, papers: Sequence[Paper], wished: Wish, about: Paper | None = None, *, is_own: bool = False
    ) -> Frame:
        """The frame for a visitor with such wishes; `about` is the newsletter that the page is about, if any.

        A person's own page is about all of their newsletters: it can be changed to any language, also where it is what
        came of a button, since its address shows it anew.
        """
        offered = self.offered(papers)
        chosen = choose(offered, wished, self.spoken(about.language) if about else None)
        known = [*([about] if about else []), *papers]
        head = next((one for one in known if self.spoken(one.language) == chosen), known[0])
        if len(offered) == 1:
            return Frame(chosen.tag, head=head)
        # Who came by a newsletter's own link reads its language, and needs no choice of others.
        tongues = offered if is_own or (wished.is_repeatable and about is None) else ()
        return Frame(chosen.tag, tongues, f"?lang={chosen.tag}", head)

    def _key(self, language: str) -> str:
        tag = language.lower()
        return next((key for key in (tag, tag.partition("-")[0]) if key in self._words), SOURCE)


def _environment(
    loader: FileSystemLoader, words: NullTranslations, everywhere: dict[str, object]
) -> ImmutableSandboxedEnvironment:
    # A newsroom's own templates can print and choose, like those of its mails, and reach nothing else (W-61).
    # Said outright: Jinja's own default escapes nothing, and its helper escapes by the file's ending (trap T7).
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # How a template breaks its lines is no part of what translators are given.
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals.update(everywhere)
    environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]  # The extension's own.
    return environment
