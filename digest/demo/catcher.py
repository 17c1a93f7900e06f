"""A mail catcher on loopback: a real SMTP server that keeps what it gets, and a page that shows it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import html
import re
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src http://127.0.0.1:*; frame-src 'self'; base-uri 'none'"


@dataclass(frozen=True)
class Caught:
    """One message as it came."""

    recipient: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        found = email.message_from_bytes(self.raw, policy=email.policy.default)
        if not isinstance(found, EmailMessage):
            raise TypeError("the parser made no message")
        return found

    def part(self, kind: str) -> str:
        """The text of its part of that kind, `plain` or `html`."""
        body = self.message.get_body((kind,))
        return body.get_content() if body else ""

    @property
    def is_issue(self) -> bool:
        """Whether it is an issue and no letter."""
        return "List-Unsubscribe" in self.message


class Catcher:
    """Use as a context manager: SMTP on `smtp_port`, the page at `url`, both on loopback."""

    def __init__(self) -> None:
        self.caught: list[Caught] = []
        self.arrived = threading.Condition()
        self.smtp_port = 0
        """Where SMTP is spoken, once the block has begun."""
        self._loop = asyncio.new_event_loop()
        catcher = self

        class Handler(_Handler):
            caught = catcher.caught

        self._web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._web.daemon_threads = True
        self._thread = threading.Thread(target=self._web.serve_forever, args=(0.05,), daemon=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's.
        """Keep a message; called by aiosmtpd."""
        content = envelope.content or b""
        with self.arrived:
            self.caught += [
                Caught(to, content if isinstance(content, bytes) else content.encode()) for to in envelope.rcpt_tos
            ]
            self.arrived.notify_all()
        return "250 2.0.0 caught"

    def wait_for(self, count: int, *, seconds: float) -> bool:
        """Wait until so many messages have come. False where they have not in time."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.caught) >= count, timeout=seconds)

    @property
    def url(self) -> str:
        """The page with the caught mail."""
        return f"http://127.0.0.1:{self._web.server_port}/"

    def __enter__(self) -> Self:
        started = threading.Event()
        self._smtp = threading.Thread(target=self._serve_smtp, args=(started,), daemon=True)
        self._smtp.start()
        started.wait()
        self._thread.start()
        return self

    def _serve_smtp(self, started: threading.Event) -> None:
        # The library's own controller cannot be asked which free port it got, so its protocol is served directly.
        def session() -> SMTP:
            return SMTP(self, hostname="catcher.example", enable_SMTPUTF8=True, loop=self._loop)

        server = self._loop.run_until_complete(self._loop.create_server(session, "127.0.0.1", 0))
        self.smtp_port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._web.shutdown()
        self._web.server_close()
        self._thread.join()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._smtp.join()


STYLE = """
:root { color-scheme: light dark; --edge: #d8d4cc; --quiet: #6b665e; }
@media (prefers-color-scheme: dark) { :root { --edge: #3d3a36; --quiet: #a8a299; } }
body { margin: 0 auto; max-width: 70rem; padding: 2rem 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font: 700 1.8rem/1.2 Georgia, serif; } a { color: inherit; }
li { margin: .4rem 0; } ul { list-style: none; padding: 0; } small { color: var(--quiet); }
iframe, pre { width: 100%; box-sizing: border-box; border: 1px solid var(--edge); border-radius: .4rem; }
iframe { height: 60rem; background: #fff; } pre { padding: 1rem; overflow: auto; white-space: pre-wrap; }
nav { margin-bottom: 1.5rem; } header { border-bottom: 2px solid; margin-bottom: 1rem; }
"""


class _Handler(BaseHTTPRequestHandler):
    caught: list[Caught]

    def do_GET(self) -> None:
        match = re.fullmatch(r"/(?:(\d+)(?:/(html|plain|source))?)?", self.path)
        if not match or (match[1] and int(match[1]) >= len(self.caught)):
            self._send(404, "text/html", _page("Not here", "<p>There is no such message.</p>"))
        elif match[1] is None:
            self._send(200, "text/html", self._list())
        else:
            self._one(int(match[1]), match[2])

    def _list(self) -> str:
        rows = "".join(
            f'<li><a href="/{number}"><b>{html.escape(one.message["Subject"] or "")}</b></a><br>'
            f"<small>to {html.escape(one.recipient)}, {len(one.raw):,} bytes</small></li>"
            for number, one in enumerate(self.caught)
        )
        return _page("The mail that was caught", f"<ul>{rows}</ul>" if rows else "<p>Nothing has come yet.</p>")

    def _one(self, number: int, kind: str | None) -> None:
        one = self.caught[number]
        if kind == "html":
            self._send(200, "text/html", one.part("html"))
        elif kind == "plain":
            self._send(200, "text/plain", one.part("plain"))
        elif kind == "source":
            self._send(200, "text/plain", one.raw.decode("ascii", "replace"))
        else:
            body = (
                f'<nav><a href="/">all mail</a> · <a href="/{number}/html">HTML alone</a> · '
                f'<a href="/{number}/plain">text part</a> · <a href="/{number}/source">source</a></nav>'
                f'<iframe sandbox src="/{number}/html" title="the message"></iframe>'
                f"<h2>The text part</h2><pre>{html.escape(one.part('plain'))}</pre>"
            )
            self._send(200, "text/html", _page(one.message["Subject"] or "", body))

    def _send(self, status: int, kind: str, text: str) -> None:
        octets = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(octets)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name.
        """Keep quiet: a demonstration prints its own story."""


def _page(title: str, body: str) -> str:
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>'
        f"<body><header><h1>{html.escape(title)}</h1></header>{body}</body></html>"
    )
