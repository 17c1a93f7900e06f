"""`digest search`: where something was said, in all that was ever sent and in the drafts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from digest.cli.context import Failed, Json, NewsletterName, app, house, newsletters
from digest.cli.printing import one_line, print_json, print_table, say
from digest.issues.search import PAGE, Found, Hit
from digest.issues.search import search as look_for
from digest.issues.search_index import rebuild as build_anew
from digest.issues.search_terms import Passage

NOTHING_ASKED = "Say what to look for: digest search court; digest search '\"freedom of the press\"'."


@app.command()
def search(
    words: Annotated[list[str] | None, typer.Argument(help='All of them; "in quotation marks" exactly so.')] = None,
    newsletter: NewsletterName = None,
    year: Annotated[int | None, typer.Option(min=1000, max=9999, help="Only issues of that year's weeks.")] = None,
    page: Annotated[int, typer.Option(min=1, help=f"Which {PAGE} of what was found.")] = 1,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the index anew, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Find words in everything that was sent, and in the drafts; best places first."""
    if not rebuild and not "".join(words or []).strip():
        raise Failed(NOTHING_ASKED)
    built = house()
    if rebuild:
        made = build_anew(built.database)
        say(f"The index is made anew; it has {made:,} {'entry' if made == 1 else 'entries'}.")
        return
    slug = newsletters(built, newsletter)[0].slug if newsletter else None
    with built.database.read() as session:
        found = look_for(session, _text(words or []), newsletter=slug, year=year, page=page)
    if as_json:
        print_json(_as_json(found))
        return
    if not found.terms:
        raise Failed(NOTHING_ASKED)
    if found.hits:
        print_table(("issue", "state", "where", "what it says"), map(_row, found.hits))
    say(_summed_up(found))


def _text(words: list[str]) -> str:
    """What was typed: a word of the shell's that has spaces in it was in quotation marks."""
    return " ".join(f'"{word}"' if " " in word.strip() and '"' not in word else word for word in words)


def _row(hit: Hit) -> tuple[str, str, str, str]:
    state = "sent" if hit.is_public else hit.state.value
    return hit.name, state, _place(hit), f"{_plain(hit.head)} – {_plain(hit.body)}".rstrip(" –")


def _place(hit: Hit) -> str:
    if hit.item_id is None:
        return "subject and introduction"
    return "lead" if hit.is_lead else hit.section or "main part"


def _plain(passage: Passage) -> str:
    return one_line("".join(f"[{text}]" if is_marked else text for text, is_marked in passage))


def _summed_up(found: Found) -> str:
    if not found.total:
        return "Nothing was found. Words are found by their beginnings, so a shorter one finds more."
    more = f"more than {found.total}" if found.is_more else str(found.total)
    where = f", page {found.page} of {found.pages}" if found.pages > 1 else ""
    return f"{more} {'place' if found.total == 1 and not found.is_more else 'places'}{where}"


def _as_json(found: Found) -> dict[str, Any]:
    return {
        "total": found.total,
        "is_more": found.is_more,
        "page": found.page,
        "pages": found.pages,
        "hits": [
            {
                "issue": hit.name,
                "state": hit.state.value,
                "is_public": hit.is_public,
                "send_at": hit.send_at.isoformat(),
                "item": hit.item_id,
                "place": _place(hit),
                "subject": hit.subject,
                "head": "".join(text for text, _ in hit.head),
                "body": "".join(text for text, _ in hit.body),
            }
            for hit in found.hits
        ],
    }
