"""The stories of an issue as its page lists them: heading by heading, those that are in before those left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from digest.issues.order import reading_order
from digest.issues.view import has_picture
from digest.models import Issue, Item
from digest.settings import Newsletter
from digest.web.desk.page import local_time
from digest.web.desk.typed import Field


@dataclass(frozen=True)
class Row:
    """A story on the desk."""

    id: int
    number: int | None
    """Its place among the stories that are in; none for one that is left out."""
    is_lead: bool
    headline: Field
    summary: Field
    section: Field
    image_alt: Field | None
    """What is to be seen in its picture; none where it goes out without one."""
    link: str
    host: str
    published: str
    note: str
    """What the editor should know of its post: edited or withdrawn at the source."""
    first: bool
    """Whether it cannot go further up."""
    last: bool

    @property
    def fields(self) -> tuple[Field, ...]:
        """All that can be typed or chosen."""
        return tuple(filter(None, (self.headline, self.summary, self.section, self.image_alt)))

    @property
    def typed(self) -> bool:
        """Whether something is typed in it that does not stand."""
        return any(field.stands is not None for field in self.fields)


@dataclass(frozen=True)
class Group:
    """A heading with the stories under it; the main part's heading is empty."""

    heading: str
    rows: tuple[Row, ...]
    left_out: tuple[Row, ...]

    @property
    def shows_left_out(self) -> bool:
        """Whether those left out have to be seen at once: words in one of them do not stand."""
        return any(row.typed for row in self.left_out)


def groups(issue: Issue, newsletter: Newsletter, shown: Mapping[str, Field]) -> tuple[Group, ...]:
    """Every heading that a story can stand under, with its stories in reading order; some may have none."""
    order = reading_order(issue.items, newsletter.sections)
    sections = sections_of(issue, newsletter)
    inside = [item for item in order if item.included]
    lead = next((item for item in inside if item.section == ""), None)
    rows: dict[str, list[Row]] = {section: [] for section in sections}
    for place, item in enumerate(inside):
        rows[item.section].append(
            replace(
                _row(item, newsletter, shown),
                number=place + 1,
                is_lead=item is lead,
                first=place == 0 and item.section == sections[0],
                last=place == len(inside) - 1 and item.section == sections[-1],
            )
        )
    out: dict[str, list[Row]] = {section: [] for section in sections}
    for item in order:
        if not item.included:
            out[item.section].append(_row(item, newsletter, shown))
    return tuple(Group(section, tuple(rows[section]), tuple(out[section])) for section in sections)


def sections_of(issue: Issue, newsletter: Newsletter) -> tuple[str, ...]:
    """The newsletter's headings in their order, and those that stand in the issue besides; the main part is first."""
    return tuple(dict.fromkeys(["", *newsletter.sections, *(item.section for item in issue.items)]))


def _row(item: Item, newsletter: Newsletter, shown: Mapping[str, Field]) -> Row:
    """A story as one that is left out."""
    post = item.post
    return Row(
        id=item.id,
        number=None,
        is_lead=False,
        headline=shown[f"headline-{item.id}"],
        summary=shown[f"summary-{item.id}"],
        section=shown[f"section-{item.id}"],
        image_alt=shown[f"image_alt-{item.id}"] if has_picture(post, newsletter) else None,
        link=post.link,
        host=(urlsplit(post.link).hostname or post.link).removeprefix("www."),
        published=f"{post.published_at.astimezone(newsletter.timezone):%a %-d %b, %H:%M}",
        note=_note(item, newsletter),
        first=True,
        last=True,
    )


def _note(item: Item, newsletter: Newsletter) -> str:
    post, zone = item.post, newsletter.timezone
    if post.withdrawn_at:
        return f"Gone from its site since {local_time(post.withdrawn_at, zone)}."
    if item.is_edited and post.edited_at:
        return f"Edited at its source; seen {local_time(post.edited_at, zone)}. Compare before it goes out."
    return ""
