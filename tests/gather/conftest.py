"""A web server on loopback that can be told to fail in every way a real one does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from digest.gather.fetch import Fetcher
from digest.settings import Fetch

Answer = Callable[[BaseHTTPRequestHandler], None]


class Faults:
    """Paths and how each is answered; a path that is not named answers 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.methods: list[tuple[str, str]] = []
        """How each path was asked for: `("HEAD", "/a")`."""
        self.released = threading.Event()
        """Set at the end: whatever hangs may go."""
        faults = self

        def missing(handler: BaseHTTPRequestHandler) -> None:
            handler.send_error(404)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                faults.methods.append((self.command, self.path))
                faults.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
                try:
                    faults.answers.get(self.path.partition("?")[0], missing)(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hangs up on us is what these tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        serve = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        serve.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, path: str, body: bytes = b"", kind: str = "text/html", status: int = 200, **headers: str) -> str:
        """Answer a path with a body; returns its address."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)

        self.answers[path] = answer
        return self.url + path

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def faults() -> Iterator[Faults]:
    server = Faults()
    yield server
    server.close()


@pytest.fixture
def inside() -> Fetch:
    """Settings that allow loopback, without pauses."""
    return Fetch(allow_private=("127.0.0.1",), delay=0, max_bytes=200_000, timeout=2.0)


@pytest.fixture
def fetcher(inside: Fetch) -> Iterator[Fetcher]:
    with Fetcher(inside) as one:
        yield one
