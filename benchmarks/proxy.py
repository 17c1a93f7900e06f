"""A link on loopback that takes its time: every octet arrives so much later, in order, at any bandwidth.

`python -m benchmarks.proxy PORT SECONDS` prints the port where it listens and carries everything to PORT and back. It
shares two cores with what it measures, so it is one `epoll` loop without a timer for each chunk: what is read later is
due later, and one queue holds all that is on its way.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

CHUNK = 1 << 18
"""Octets read at once: more than a message has."""


@dataclass
class Pipe:
    """One direction of a connection."""

    source: socket.socket
    target: socket.socket
    waiting: deque[bytes] = field(default_factory=deque)
    """What has arrived and the target did not take yet; an empty one is the end."""
    is_blocked: bool = False
    """Whether the target takes no more for now."""


class Link:
    """Every connection that goes to one port, with `delay` seconds in each direction."""

    def __init__(self, port: int, delay: float) -> None:
        self._target = ("127.0.0.1", port)
        self._delay = delay
        self._door = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self._epoll = select.epoll()
        self._epoll.register(self._door, select.EPOLLIN)
        self._pipes: dict[int, Pipe] = {}
        """By the socket they are read from."""
        self._flight: deque[tuple[float, Pipe, bytes]] = deque()
        self.port: int = self._door.getsockname()[1]

    def run(self) -> None:
        """Carry for ever."""
        while True:
            # `select` waits to the microsecond, where `epoll` alone knows milliseconds only.
            select.select([self._epoll], [], [], self._until_next())
            for number, events in self._epoll.poll(0):
                self._act(number, events)
            self._land(time.monotonic())

    def _until_next(self) -> float | None:
        return max(0.0, self._flight[0][0] - time.monotonic()) if self._flight else None

    def _act(self, number: int, events: int) -> None:
        if number == self._door.fileno():
            self._accept()
        elif pipe := self._pipes.get(number):
            if events & select.EPOLLOUT:
                # The socket that takes again is the target of the other direction.
                self._push(self._pipes[pipe.target.fileno()])
            if events & ~select.EPOLLOUT:
                self._read(pipe)

    def _accept(self) -> None:
        near, _ = self._door.accept()
        far = socket.create_connection(self._target)
        for source, target in ((near, far), (far, near)):
            source.settimeout(0)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pipes[source.fileno()] = Pipe(source, target)
            self._epoll.register(source, select.EPOLLIN)

    def _read(self, pipe: Pipe) -> None:
        try:
            data = pipe.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._close(pipe)
            return
        self._flight.append((time.monotonic() + self._delay, pipe, data))
        if not data:
            self._epoll.unregister(pipe.source)

    def _land(self, now: float) -> None:
        while self._flight and self._flight[0][0] <= now:
            _, pipe, data = self._flight.popleft()
            if self._pipes.get(pipe.source.fileno()) is pipe:
                pipe.waiting.append(data)
                self._push(pipe)

    def _push(self, pipe: Pipe) -> None:
        """Give the target what it takes, and be told when it takes more."""
        try:
            while pipe.waiting:
                if not pipe.waiting[0]:
                    self._close(pipe)
                    return
                taken = pipe.target.send(pipe.waiting[0])
                if taken == len(pipe.waiting[0]):
                    pipe.waiting.popleft()
                else:
                    pipe.waiting[0] = pipe.waiting[0][taken:]
            self._block(pipe, is_blocked=False)
        except BlockingIOError:
            self._block(pipe, is_blocked=True)
        except OSError:
            self._close(pipe)

    def _block(self, pipe: Pipe, *, is_blocked: bool) -> None:
        if pipe.is_blocked is not is_blocked:
            pipe.is_blocked = is_blocked
            self._epoll.modify(pipe.target, select.EPOLLIN | (select.EPOLLOUT if is_blocked else 0))

    def _close(self, pipe: Pipe) -> None:
        """End a connection, both directions: SMTP has no half of one."""
        for one in (pipe.source, pipe.target):
            self._pipes.pop(one.fileno(), None)
            with contextlib.suppress(OSError):
                self._epoll.unregister(one)
            one.close()


def main() -> None:
    port, delay = sys.argv[1:]
    link = Link(int(port), float(delay))
    print(link.port, flush=True)
    link.run()


if __name__ == "__main__":
    main()
