"""Templates become pages: one Jinja environment for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Pages:
    """Renders the templates of some folders; the first folder that has one wins, so that a newsroom can have its own.

    What every page may need (`site_title`, `language`, `direction`) can be given once, as keywords.
    """

    def __init__(self, folders: Sequence[Path], **everywhere: object) -> None:
        # A newsroom's own templates can print and choose, like those of its mails, and reach nothing else (W-61).
        # Said outright: Jinja's own default escapes nothing, and its helper escapes by the file's ending (trap T7).
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folders),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(everywhere)
        self._environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]

    def render(self, name: str, **context: object) -> str:
        """The page that a template makes of some values.

        Raises `jinja2.TemplateNotFound`, `jinja2.UndefinedError` for a name that was not given, and
        `jinja2.exceptions.SecurityError` for a template that reaches for more than its values.
        """
        return self._environment.get_template(name).render(context)
