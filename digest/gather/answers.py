"""What fetching can come to: bytes, not modified, or a reason."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fetched:
    """A whole answer, decompressed."""

    url: str
    """Where it was in the end, after redirects."""
    body: bytes = field(repr=False)
    content_type: str = ""
    charset: str | None = None
    """What the Content-Type header says; often wrong."""
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class NotModified:
    """The same as last time (304)."""


@dataclass(frozen=True)
class Failed:
    """Nothing could be had. `reason` is a sentence for an operator."""

    reason: str
    gone: bool = False
    """Whether the server says that the page is there no more (404, 410)."""
    status: int | None = None
    """The HTTP status, where one came."""
    refused: bool = False
    """Whether it was never asked for: our own rules, or the site's for robots, are against it."""


@dataclass(frozen=True)
class There:
    """A page that answers; nothing of it was read."""

    url: str
    """Where it is in the end, after redirects."""
    is_seen: bool = True
    """Whether that last address was asked; one that leads to a stranger's site is not."""


Answer = Fetched | NotModified | Failed
