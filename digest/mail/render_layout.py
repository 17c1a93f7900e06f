r"""`body.mjml` becomes HTML, and nothing that anybody wrote is ever read by the MJML parser (F-50, T6).

How it works, for whoever writes a template:

1. Jinja runs the template. Wherever it would print a value, `{{ story.headline }}`, it prints a short token instead,
   `zq7qz`, and the value is put aside. Only what the template itself spells out is markup; a macro's result is markup.
2. MRML turns this MJML, in which there are tokens but no content, into HTML.
3. The HTML, still without content, is mended: every image gets an `alt`, every table its role, and for a
   right-to-left language what MRML leaves left-to-right is turned round (T5, T6).
4. In one pass each token is replaced by its value, escaped for where it stands. A value cannot be mistaken for a token,
   as nothing is read twice, and it cannot break the parser, as the parser has come and gone.

A token can stand in a text, in an attribute and in a style, but not where MJML itself must calculate (`width`,
`padding`). MRML writes attributes the way Rust prints strings: a quote comes out as `\"`, a backslash doubled and some
letters as `\u{200c}`, which is one reason more that no content may pass through it.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal

import mjml
from jinja2 import BaseLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from digest.mail.render_text import isolate, underline, wrap
from digest.mail.render_words import digits

TOKEN = re.compile(r"zq(\d+)qz")
# Whatever is not running text: there a value is escaped and nothing more.
_MARKUP = r"<(?:title|style)\b.*?</(?:title|style)>|<[^>]*>"
_PARTS = re.compile(rf"(?P<markup>{_MARKUP})|{TOKEN.pattern}", re.DOTALL)
_UNUSED_RULES = re.compile(r"<style[^>]*>(?:(?!</style>).)*\btable\.mj-full-width-mobile.*?</style>", re.DOTALL)
# Filters that return markup would let content past the tokens; the rest is not needed.
_FILTERS = (
    "capitalize",
    "default",
    "first",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "min",
    "replace",
    "select",
    "selectattr",
    "trim",
    "upper",
)

_values: ContextVar[list[str]] = ContextVar("values")


@pass_context
def _put_aside(_context: Context, value: Any) -> Any:
    """Jinja's last step before printing; that it asks for the context keeps Jinja from doing it only once, ahead."""
    if isinstance(value, Markup):
        return value
    values = _values.get()
    values.append(str(value))
    return Markup(f"zq{len(values) - 1}qz")  # noqa: S704 -- five letters of ours


@pass_context
def _numeral(context: Context, value: object) -> str:
    """A number as the mail's language writes it."""
    return digits(str(value), context["words"])


def layout_environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    """The environment of the `.mjml` templates. `autoescape` is on explicitly: Jinja's default is off (T7, W-61)."""
    return _environment(loader, autoescape=True, finalize=_put_aside)


def text_environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    """The environment of the `.txt` templates, which must not escape: a mail's text has no `&amp;` (F-04, W-61)."""
    return _environment(loader, autoescape=False, finalize=None)


def _environment(loader: BaseLoader, *, autoescape: bool, finalize: Any) -> ImmutableSandboxedEnvironment:
    # Autoescaping is a decision of the two callers above, each with its reason.
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.clear()
    environment.filters = {
        **{name: environment.filters[name] for name in _FILTERS},
        "numeral": _numeral,
        "underline": underline,
        "wrap": wrap,
    }
    return environment


def compile_layout(
    environment: ImmutableSandboxedEnvironment,
    name: str,
    context: dict[str, Any],
    direction: Literal["ltr", "rtl"],
) -> str:
    """The HTML of one template with its values.

    Raises Jinja's `TemplateError` for a template that is wrong, and `ValueError` for MJML that MRML cannot read.
    """
    values: list[str] = []
    held = _values.set(values)
    try:
        layout = environment.get_template(name).render(context)
    finally:
        _values.reset(held)
    return fill(_compiled(layout, direction), values, direction)


# What differs between two copies of a letter, or before and after an editor's change, are most often the values alone.
# They are not in the layout, so nothing that anybody wrote is kept here.
@lru_cache(maxsize=32)
def _compiled(layout: str, direction: Literal["ltr", "rtl"]) -> str:
    # `fonts={}` keeps MRML from asking Google for Ubuntu (T5); without an include loader it opens no files.
    return finish(mjml.mjml2html(layout, fonts={}), direction)


def finish(html: str, direction: Literal["ltr", "rtl"]) -> str:
    """Mend what MRML leaves undone. The HTML has no content in it yet, so plain replacements are safe."""
    html = re.sub(r"<img\b(?![^>]*\balt=)", '<img alt=""', html)
    html = re.sub(r"<table\b(?![^>]*\brole=)", '<table role="presentation"', html)
    if direction == "rtl":
        html = html.replace("direction:ltr", "direction:rtl").replace("text-align:left", "text-align:right")
        html = html.replace('align="left"', 'align="right"')
    return _lean(html)


def _lean(html: str) -> str:
    """Leave out line breaks, and MRML's rules for a class that is not used: bytes count (F-43, O-22)."""
    if 'class="mj-full-width-mobile"' not in html:
        html = _UNUSED_RULES.sub("", html)
    return re.sub(r"\s*\n\s*", " ", html)


def fill(html: str, values: list[str], direction: Literal["ltr", "rtl"]) -> str:
    """Put the values in the places of their tokens, escaped; Latin runs in right-to-left text are isolated (F-48)."""

    def text(value: str) -> str:
        if direction == "ltr":
            return str(escape(value))
        # Isolated before it is escaped, with characters that no cleaned text has: an entity's name is Latin too.
        apart = str(escape(isolate(value, "\ufdd0", "\ufdd1")))
        return apart.replace("\ufdd0", "<bdi>").replace("\ufdd1", "</bdi>")

    def part(match: re.Match[str]) -> str:
        if markup := match["markup"]:
            return TOKEN.sub(lambda token: str(escape(values[int(token[1])])), markup)
        return text(values[int(match[2])])

    return _PARTS.sub(part, html)
