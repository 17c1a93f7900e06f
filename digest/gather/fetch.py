"""Fetching politely and safely: bytes, or not modified, or a reason. The only room that speaks HTTP (W-50 to W-52)."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

import httpcore
import httpx

from digest.gather import robots
from digest.gather.address import is_allowed_host
from digest.gather.answers import Answer, Failed, Fetched, NotModified, There
from digest.gather.inflate import Body, gunzip, too_large
from digest.gather.network import Deadline, FetchError, GuardedBackend, Resolve, resolve
from digest.settings import Fetch

REDIRECTS = 3
ACCEPT = "application/rss+xml, application/atom+xml, application/feed+json, text/html;q=0.9, */*;q=0.8"
STEP = 10.0
"""Seconds that connecting, or one wait for data, may take."""
REDIRECT = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410})
CLIENT_ERROR = 4
"""The first digit of 400 to 499."""
VALIDATOR = 500
"""Characters of an ETag worth giving back."""
TYPES = frozenset(
    {"application/xml", "application/json", "application/gzip", "application/x-gzip", "application/octet-stream", ""}
)


class Fetcher:
    """One visit's fetching, within the settings' limits; a context manager.

    `sleep`, `clock` (seconds that only grow), `resolve` and `tls` are given by tests.
    """

    def __init__(
        self,
        settings: Fetch,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings, self._sleep, self._clock = settings, sleep, clock
        self._deadline = Deadline(clock, settings.timeout)
        backend = GuardedBackend(self._deadline, settings.allow_private, resolve)
        tls = tls or httpx.create_ssl_context(trust_env=False)
        self._client = httpx.Client(
            transport=_Transport(backend, tls),
            trust_env=False,
            timeout=STEP,
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": "gzip, deflate", "Accept": ACCEPT},
        )
        self._visited: dict[str, float] = {}
        self._robots: dict[str, robots.Rules | Failed] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, url: str, *, etag: str | None = None, last_modified: str | None = None) -> Answer:
        """Fetch what an operator named. Never raises for what the network or the server does."""
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        headers = {name: value for name, value in conditions.items() if value and value.isascii()}
        return self._guarded(url, headers)

    def get_file(self, url: str) -> Answer:
        """Fetch a small file of whatever type from exactly this address: it is led nowhere else.

        Never raises for what the network or the server does.
        """
        return self._guarded(url, {}, is_any_type=True, redirects=0)

    def post_form(self, url: str, fields: Mapping[str, str], authorization: str | None = None) -> Answer:
        """Send a form to exactly this address, with a header of who asks if one is given: it is led nowhere else.

        Never raises for what the network or the server does.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        return self._guarded(url, headers, is_any_type=True, redirects=0, form=urlencode(fields).encode())

    def get_article(self, url: str, source: str) -> Answer:
        """Fetch a page that a source points to, if the site's robots.txt has nothing against it.

        A source on the public internet cannot lead us to a host inside, be it one the operator allows.
        """
        try:
            here = self._checked(url)
            if self._is_inside(here) and not self._is_inside(source):
                return Failed(f"{urlsplit(here).hostname} is inside, and a source outside may not point to it.")
        except FetchError as error:
            return Failed(error.reason)
        return self._guarded(here, {}, asks_robots=True)

    def look(self, url: str, may: Callable[[str], bool]) -> There | Failed:
        """Whether a page is there, and where: by HEAD, or by GET where that does not answer well; its body is not read.

        It is led only to addresses that `may` allows. Never raises for what the network or the server does.
        """
        try:
            return self._look(self._checked(url), may)
        except FetchError as error:
            return Failed(error.reason, refused=error.refused)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Failed(_reason(error, urlsplit(url).hostname or "The site"))

    def _look(self, start: str, may: Callable[[str], bool]) -> There | Failed:
        here = start
        self._ask_robots(here)
        self._wait(urlsplit(here).netloc)
        self._deadline.start()
        for _ in range(REDIRECTS + 1):
            answer = self._knock(here)
            if not isinstance(answer, str):
                return answer
            here = self._next(start, here, answer)
            if not may(here):
                return There(here, is_seen=False)
            with self._deadline.paused():
                self._ask_robots(here)
        raise FetchError(f"It redirects more than {REDIRECTS} times; the last was to {urlsplit(here).hostname}.")

    def _knock(self, url: str) -> There | Failed | str:
        """Ask for one address without reading it: it is there, it is not, or where it redirects to."""
        try:
            answer = self._asked("HEAD", url)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            answer = None  # Some servers hang up on what they do not know.
        if answer is None or isinstance(answer, Failed):
            with self._deadline.paused():
                self._wait(urlsplit(url).netloc)
            answer = self._asked("GET", url)
        return answer

    def _asked(self, method: str, url: str) -> There | Failed | str:
        self._client.cookies.clear()
        try:
            with self._client.stream(method, url) as response:
                status = response.status_code
                if status in REDIRECT and response.headers.get("location"):
                    return str(response.headers["location"])
                return There(url) if response.is_success else _failed(response)
        finally:
            self._visited[urlsplit(url).netloc] = self._clock()

    def _ask_robots(self, url: str) -> None:
        """Raises `FetchError` where the site's robots.txt has something against reading an address."""
        rules = self._rules(url)
        if isinstance(rules, Failed):
            raise FetchError(rules.reason, refused=rules.refused)
        if not rules.allow(url):
            host = urlsplit(url).hostname
            raise FetchError(f"{host} asks robots not to read this page (robots.txt).", refused=True)

    def _rules(self, url: str) -> robots.Rules | Failed:
        """The site's robots.txt, read once a visit; where it fails to answer, nothing may be read (RFC 9309 §2.3.1)."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._robots:
            answer = self._guarded(f"{origin}/robots.txt", {}, is_any_type=True)
            match answer:
                case Fetched():
                    text = answer.body.decode("utf-8", "replace")
                    self._robots[origin] = robots.parse(text, self._settings.user_agent)
                case Failed(status=status) if status and status // 100 == CLIENT_ERROR:
                    self._robots[origin] = robots.Rules()
                case Failed(status=HTTPStatus.OK) | NotModified():  # An empty one has no rules.
                    self._robots[origin] = robots.Rules()
                case Failed():
                    reason = f"Its robots.txt could not be read: {answer.reason}"
                    self._robots[origin] = Failed(reason, refused=answer.refused)
        return self._robots[origin]

    def _guarded(
        self,
        url: str,
        headers: dict[str, str],
        *,
        is_any_type: bool = False,
        asks_robots: bool = False,
        redirects: int = REDIRECTS,
        form: bytes | None = None,
    ) -> Answer:
        how = {"is_any_type": is_any_type, "asks_robots": asks_robots}
        try:
            return self._follow(url, headers, redirects=redirects, form=form, **how)
        except FetchError as error:
            return Failed(error.reason, refused=error.refused)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Failed(_reason(error, urlsplit(url).hostname or "The site"))

    def _follow(
        self,
        url: str,
        headers: dict[str, str],
        *,
        is_any_type: bool,
        asks_robots: bool,
        redirects: int,
        form: bytes | None,
    ) -> Answer:
        start = here = self._checked(url)
        if asks_robots:
            self._ask_robots(here)
        self._wait(urlsplit(here).netloc)
        self._deadline.start()
        for _ in range(redirects + 1):
            answer = self._once(here, headers, form, is_any_type=is_any_type)
            self._visited[urlsplit(here).netloc] = self._clock()
            if not isinstance(answer, str):
                return answer
            here = self._next(start, here, answer)
            if asks_robots:
                # A rule holds for whoever is sent there, too. Reading the rules has a time of its own.
                with self._deadline.paused():
                    self._ask_robots(here)
        if not redirects:
            raise FetchError(f"It redirects to {urlsplit(here).hostname}, and is read at its own address only.")
        raise FetchError(f"It redirects more than {redirects} times; the last was to {urlsplit(here).hostname}.")

    def _next(self, start: str, here: str, location: str) -> str:
        there = self._checked(urljoin(here, location))
        if here.startswith("https:") and there.startswith("http:"):
            raise FetchError(f"It redirects from https down to http ({urlsplit(there).hostname}).")
        if self._is_inside(there) and not self._is_inside(start):
            raise FetchError(
                f"It redirects to {urlsplit(there).hostname}, which is inside a private network.", refused=True
            )
        return there

    def _once(self, url: str, headers: dict[str, str], form: bytes | None, *, is_any_type: bool) -> Answer | str:
        """One request: the answer, or where it redirects to."""
        # No site is given back a cookie: we are nobody in particular.
        self._client.cookies.clear()
        method = "GET" if form is None else "POST"
        with self._client.stream(method, url, headers=headers, content=form) as response:
            status = response.status_code
            if status == HTTPStatus.NOT_MODIFIED and headers:
                return NotModified()
            if status in REDIRECT and response.headers.get("location"):
                return str(response.headers["location"])
            if status != HTTPStatus.OK:
                return _failed(response)
            return self._read(url, response, is_any_type=is_any_type)

    def _read(self, url: str, response: httpx.Response, *, is_any_type: bool) -> Answer:
        limit = self._settings.max_bytes
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not _is_text(kind) and not is_any_type:
            raise FetchError(f"The answer is {kind[:60]}, which is neither a feed nor a page.")
        if response.headers.get("content-length", "").isdigit() and int(response.headers["content-length"]) > limit:
            raise FetchError(too_large(limit))
        body = Body(response.headers.get("content-encoding", "").strip().lower(), limit)
        for chunk in response.iter_raw():
            body.feed(chunk)
        data = gunzip(body.finish(), limit)
        if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
            return Failed("The answer is empty.", status=response.status_code)
        return Fetched(
            url=url,
            body=data,
            content_type=kind,
            charset=response.charset_encoding,
            etag=_kept(response.headers.get("etag")),
            last_modified=_kept(response.headers.get("last-modified")),
        )

    def _checked(self, url: str) -> str:
        """The address, if we read such addresses at all. Raises `FetchError`."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise FetchError("It is not a web address.", refused=True) from error
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise FetchError(
                f"Only http and https are read, not {(parts.scheme or 'an address without a host')[:40]}.", refused=True
            )
        if parts.username or parts.password:
            raise FetchError("An address with a user name or password in it is not read.", refused=True)
        if port not in (80, 443) and not is_allowed_host(parts.hostname, port, self._settings.allow_private):
            raise FetchError(
                f"Port {port} is not read: only 80 and 443, or a host named in [fetch] allow_private.", refused=True
            )
        return url

    def _is_inside(self, url: str) -> bool:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return is_allowed_host(parts.hostname or "", port, self._settings.allow_private)

    def _wait(self, netloc: str) -> None:
        """Leave the settings' pause between two requests to one host."""
        if netloc in self._visited:
            pause = self._visited[netloc] + self._settings.delay - self._clock()
            if pause > 0:
                self._sleep(pause)


class _Transport(httpx.HTTPTransport):
    """httpx's transport, with connections made by our guarded backend."""

    def __init__(self, backend: httpcore.NetworkBackend, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.ConnectionPool(ssl_context=tls, network_backend=backend, keepalive_expiry=5.0)


def _failed(response: httpx.Response) -> Failed:
    """What an answer comes to that is no page."""
    status = response.status_code
    phrase = f" ({response.reason_phrase[:40]})" if response.reason_phrase.isprintable() else ""
    return Failed(f"{response.url.host} answered {status}{phrase}.", gone=status in GONE, status=status)


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in TYPES or kind.endswith(("+xml", "+json"))


def _kept(value: str | None) -> str | None:
    """A validator worth giving back; a strange or huge one is not."""
    return value if value and value.isascii() and value.isprintable() and len(value) <= VALIDATOR else None


def _reason(error: Exception, host: str) -> str:
    match error:
        case httpx.ConnectTimeout():
            return f"{host} did not answer the call in time (connect)."
        case httpx.TimeoutException():
            return f"{host} did not answer in time."
        case httpx.RemoteProtocolError() if "peer closed" in str(error) or "incomplete" in str(error):
            return f"The answer of {host} broke off."
        case httpx.RemoteProtocolError():
            return f"{host} does not speak proper HTTP."
        case httpx.NetworkError():
            return f"The connection to {host} broke off."
        case _:
            return f"{host} could not be asked: the address is not one we can read."
