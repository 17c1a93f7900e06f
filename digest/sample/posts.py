"""The sample blog's posts: one text file each, a header of `key: value` lines and paragraphs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class SamplePost:
    """A post as its file tells it."""

    number: str
    """Its article number, which is the file's name."""
    feed: str
    """`watchdog` or `trouble`."""
    slug: str
    at: float
    """Where between the blog's earliest instant (0) and its latest (1) it was published."""
    title: str
    byline: str
    category: str
    summary: str
    image: str
    """The name of its picture, empty for none."""
    hue: int
    """The picture's main colour, in degrees."""
    caption: str
    alt: str
    dateline: str
    credit: str
    paragraphs: tuple[str, ...]
    """`## ` begins a subhead; `[promo]`, `[player: …]` and `[watch: …]` stand for debris."""

    @property
    def path(self) -> str:
        """Its page."""
        return f"/a/{self.slug}/{self.number}.html"

    def published(self, start: dt.datetime, end: dt.datetime) -> dt.datetime:
        """When it was published, to the second."""
        return (start + (end - start) * self.at).replace(microsecond=0)


def load_posts() -> dict[str, SamplePost]:
    """All posts by number, newest first."""
    folder = resources.files("digest.sample") / "posts"
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".txt"))
    posts = [_parse(name.removesuffix(".txt"), (folder / name).read_text(encoding="utf-8")) for name in names]
    return {post.number: post for post in sorted(posts, key=lambda one: -one.at)}


def _parse(number: str, text: str) -> SamplePost:
    head, _, rest = text.partition("\n\n")
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in head.splitlines())}
    numbers = {"at": float(fields.pop("at")), "hue": int(fields.pop("hue"))}
    paragraphs = tuple(" ".join(one.split()) for one in rest.split("\n\n") if one.strip())
    return SamplePost(
        number=number, feed=fields.pop("feed", "watchdog"), paragraphs=paragraphs, at=numbers["at"],
        hue=int(numbers["hue"]), **fields,
    )  # fmt: skip
