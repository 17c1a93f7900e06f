"""Connections for the HTTP client: one look-up, its addresses checked, and that very address connected to (W-51)."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

import httpcore

from digest.gather.address import is_allowed_host, is_public

Resolve = Callable[[str, int], list[str]]


class FetchError(Exception):
    """Why nothing could be fetched; `reason` is a sentence for an operator.

    `refused`: it was our own rules, or the site's for robots, that did not let us ask.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        self.reason, self.refused = reason, refused
        super().__init__(reason)


def resolve(host: str, port: int) -> list[str]:
    """The host's addresses, as the machine's resolver gives them. Raises `FetchError`.

    The resolver has time limits of its own (`/etc/resolv.conf`); Python cannot interrupt it.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"The name {host} could not be found (DNS).") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Deadline:
    """How long one answer may still take, redirects included: each wait on the network is cut to what is left."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._end = clock() + seconds

    def start(self) -> None:
        """Begin to count for a new answer."""
        self._end = self._clock() + self._seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Another answer is read within; what is left of this one's time is left afterwards."""
        left = self._end - self._clock()
        yield
        self._end = self._clock() + left

    def cut(self, timeout: float | None) -> float:
        """The time to wait for, at most what is left. Raises `FetchError` when nothing is."""
        left = self._end - self._clock()
        if left <= 0:
            raise FetchError(f"It took longer than {self._seconds:g} seconds to answer.")
        return left if timeout is None else min(timeout, left)


class GuardedStream(httpcore.NetworkStream):
    """A connection whose every wait is cut to the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, host: str, deadline: Deadline) -> None:
        self._stream, self._host, self._deadline = stream, host, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._stream.read(max_bytes, self._deadline.cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._stream.write(buffer, self._deadline.cut(timeout))

    def close(self) -> None:
        """Give it up."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands; the certificate is checked against the host's name. Raises `FetchError`."""
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.cut(timeout))
        except httpcore.ConnectError as error:
            raise FetchError(_tls_reason(self._host, error)) from error
        return GuardedStream(stream, self._host, self._deadline)

    def get_extra_info(self, info: str) -> object:
        """What the client asks about the connection."""
        return self._stream.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Makes connections, only to public addresses and to hosts that the operator allows."""

    def __init__(self, deadline: Deadline, allow_private: Collection[str], resolve: Resolve = resolve) -> None:
        self._deadline, self._allow_private, self._resolve = deadline, allow_private, resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's checked addresses that answers. Raises `FetchError`."""
        failure: FetchError | None = None
        for address in self._checked(host, port):
            try:
                stream = self._plain.connect_tcp(
                    address, port, self._deadline.cut(timeout), local_address, socket_options
                )
            except httpcore.ConnectTimeout as error:
                failure = FetchError(f"{host} did not answer the call in time (connect).")
                failure.__cause__ = error
            except httpcore.ConnectError as error:
                failure = FetchError(_connect_reason(host, port, error))
                failure.__cause__ = error
            else:
                return GuardedStream(stream, host, self._deadline)
        raise failure or FetchError(f"The name {host} could not be found (DNS).")

    def _checked(self, host: str, port: int) -> list[str]:
        addresses = self._resolve(host, port)
        if is_allowed_host(host, port, self._allow_private):
            return addresses
        public = [address for address in addresses if is_public(address)]
        if addresses and not public:
            raise FetchError(
                f"{host} is inside a private network, which is not read; "
                "an operator can allow it by name with [fetch] allow_private.",
                refused=True,
            )
        return public


def _connect_reason(host: str, port: int, error: Exception) -> str:
    match error.__cause__:
        case ConnectionRefusedError():
            return f"{host} refused the connection on port {port}."
        case OSError() as cause if cause.strerror:
            return f"{host} could not be reached ({cause.strerror.lower()})."
        case _:
            return f"{host} could not be reached."


def _tls_reason(host: str, error: Exception) -> str:
    match error.__cause__:
        case ssl.SSLCertVerificationError() as cause:
            return f"The certificate of {host} is not valid ({cause.verify_message})."
        case ssl.SSLError() as cause if cause.reason:
            return f"No secure connection to {host} could be made ({cause.reason.replace('_', ' ').lower()})."
        case _:
            return f"No secure connection to {host} could be made."
