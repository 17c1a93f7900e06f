"""The command that prints a form for the newsroom's own site."""

from __future__ import annotations

import typer

from digest.cli.context import NewsletterName, app, newsletters, settings
from digest.mail.render import Renderer
from digest.settings import Settings
from digest.wiring import info_of, template_folders
from subscribers.pages import Frame, Pages


@app.command("form")
def print_form(newsletter: NewsletterName = None) -> None:
    """Print a sign-up form in plain HTML for a page of your own site (docs/form.md)."""
    typer.echo(form_of(settings(), newsletter))


def form_of(found: Settings, slug: str | None) -> str:
    """The form, in the first newsletter's language; of all newsletters where none is named. Raises `Failed`."""
    pages, renderer = Pages(template_folders(found, "web")), Renderer(template_folders(found, "email"))
    chosen = [info_of(one, renderer) for one in newsletters(found, slug)]
    frame = Frame(chosen[0].language)
    return pages.render("elsewhere/form.html", frame, newsletters=chosen, base_url=found.web.base_url).strip()
