"""The sample blog on loopback: a feed for each of its two parts, articles, the blog page, a news sitemap, pictures."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from digest.sample import picture, render
from digest.sample.posts import SamplePost, load_posts

Page = tuple[int, str, bytes]
"""Status, content type, body."""

draw = lru_cache(maxsize=32)(picture.draw)


class SampleBlog:
    """Serves the blog in a thread, as a context manager: `with SampleBlog(now=…) as blog: blog.feed`.

    The posts are published between `since` (five days before `now`, if not given) and `now`, none at either end.
    """

    def __init__(self, *, now: dt.datetime, since: dt.datetime | None = None, port: int = 0) -> None:
        self._now, self._since = now, since or now - dt.timedelta(days=5)
        self._posts = load_posts()
        self._withdrawn: set[str] = set()
        self.requests: list[str] = []
        """The paths that were asked for, in their order."""
        blog = self

        class Handler(_Handler):
            def page(self) -> Page:
                return blog.page_at(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def feed(self) -> str:
        """The main feed's address."""
        return f"{self.url}/api/watchdog"

    @property
    def trouble_feed(self) -> str:
        """The address of the feed of "Journalists In Trouble"."""
        return f"{self.url}/api/trouble"

    @property
    def page(self) -> str:
        """The blog page's address."""
        return f"{self.url}/Watchdog"

    @property
    def sitemap(self) -> str:
        """The news sitemap's address."""
        return f"{self.url}/sitemap_news.xml"

    @property
    def numbers(self) -> tuple[str, ...]:
        """The article numbers of all posts, newest first."""
        return tuple(self._posts)

    def edit(self, number: str, *, title: str | None = None, paragraph: str | None = None) -> None:
        """Change a post's headline, or add a paragraph to it."""
        post = self._posts[number]
        added = (paragraph,) if paragraph else ()
        self._posts[number] = replace(post, title=title or post.title, paragraphs=(*post.paragraphs, *added))

    def withdraw(self, number: str) -> None:
        """Take a post away: its page answers 410, and no feed or page has it any more."""
        self._withdrawn.add(number)

    def page_at(self, path: str) -> Page:
        """What is served at a path."""
        self.requests.append(path)
        path = path.partition("?")[0]
        if found := re.fullmatch(r"/(?:a|amp)/(?:[^/]+/)?(\d+)\.html", path):
            return self._article(found[1])
        if found := re.fullmatch(r"/gdb/([0-9A-F-]+)(?:_\w+)?\.png", path):
            return self._picture(found[1])
        kind, text = self._text(path)
        return (200, kind, text.encode()) if kind else (404, "text/plain", b"There is no such page.")

    def _text(self, path: str) -> tuple[str, str]:
        page, rss = "text/html; charset=utf-8", "application/rss+xml"
        texts: dict[str, tuple[str, Callable[[], str]]] = {
            "/": (page, render.home),
            "/Watchdog": (page, lambda: render.flow(self._dated("watchdog"), self.url)),
            "/api/watchdog": (rss, lambda: self._feed("Watchdog (sample)", "watchdog")),
            "/api/trouble": (rss, lambda: self._feed("Journalists In Trouble (sample)", "trouble")),
            "/sitemap_news.xml": ("application/xml", lambda: render.sitemap(self._dated("watchdog"), self.url)),
            "/robots.txt": ("text/plain", lambda: "User-agent: *\nDisallow: /search\n"),
        }
        kind, text = texts.get(path, ("", str))
        return kind, text()

    def _feed(self, title: str, name: str) -> str:
        return render.feed(title, self._dated(name), self.url, self._now)

    def _article(self, number: str) -> Page:
        if number in self._withdrawn:
            return 410, "text/plain", b"This page has been withdrawn."
        if number not in self._posts:
            return 404, "text/plain", b"There is no such page."
        post = self._posts[number]
        others = [one for one in self._posts.values() if one is not post][:3]
        text = render.article(post, post.published(self._since, self._now), self.url, others)
        return 200, "text/html; charset=utf-8", text.encode()

    def _picture(self, name: str) -> Page:
        for post in self._posts.values():
            if post.image == name:
                return 200, "image/png", draw(post.hue)
        return 404, "text/plain", b"There is no such picture."

    def _dated(self, name: str) -> list[tuple[SamplePost, dt.datetime]]:
        there = (post for number, post in self._posts.items() if number not in self._withdrawn)
        return [(post, post.published(self._since, self._now)) for post in there if post.feed == name]


class _Handler(BaseHTTPRequestHandler):
    """Answers with a page, and with 304 where the client has it already."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "SampleBlog"
    sys_version = ""

    def page(self) -> Page:
        raise NotImplementedError

    def do_GET(self) -> None:
        status, kind, body = self.page()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if status == 200 and self.headers.get("If-None-Match") == tag:  # noqa: PLR2004 -- HTTP's own number.
            status, body = 304, b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 -- the name that http.server calls.

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: who reads what is nobody's business."""
