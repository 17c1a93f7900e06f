"""The roles: web, scheduler, worker and LMTP door, each a process of its own or all in one (`digest up`)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from digest.inbound import door as inbound
from digest.inbound.door import listening
from digest.wiring import House

log = structlog.get_logger()

BACKLOG = 2048
"""How many connections may wait to be taken."""


@dataclass(frozen=True)
class Roles:
    """What a process does."""

    web: bool = False
    scheduler: bool = False
    worker: bool = False
    lmtp: bool = False


class CannotListen(Exception):
    """The pages cannot be served where the settings say; the message says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections there from now on; for a name with several addresses, the IPv4 one.

    Port 0 is any that is free. Raises `CannotListen`.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] is not socket.AF_INET)
        door = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        # What connects inherits it. asyncio asks for it by itself, but not of a socket that it was given: then the body
        # of an answer waits for the receipt of its headers, which a client puts off for a twenty-fifth of a second.
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"port {port} on {host} is taken; set [web] port") from error
        raise CannotListen(f"cannot listen on {host}:{port} ({error.strerror}); set [web] host and port") from error
    return door


async def serve(
    house: House, roles: Roles, *, door: socket.socket | None = None, stopping: asyncio.Event | None = None
) -> None:
    """Do what the roles say until SIGTERM or SIGINT; transactions under way are then finished (S-14).

    `door` is where the pages are served, as `listen` gives it; without one it is opened here, before anything starts.
    Raises `CannotListen`, `CannotTakeMail`.
    """
    if roles.web and door is None:
        door = listen(house.settings.web.host, house.settings.web.port)
    stopping = stopping or asyncio.Event()
    mail = None
    on_signals(stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        if roles.lmtp and (where := house.settings.inbound.listen):
            mail = stack.enter_context(listening(where))
        if roles.scheduler:
            await stack.enter_async_context(_scheduler(house))
        async with asyncio.TaskGroup() as group:
            if roles.web and door:
                # Read where pages are served alone: what makes them takes longer to read than a command to run.
                from digest import pages

                group.create_task(pages.serve(house, door, stopping))
            if mail:
                group.create_task(inbound.serve(mail, house.doorkeeper(), stopping))
            if roles.worker:
                group.create_task(house.worker().run(stopping))
            await stopping.wait()
            log.info("stopping", note="what is under way is finished")


@contextlib.asynccontextmanager
async def _scheduler(house: House) -> AsyncIterator[None]:
    from digest.schedule import make_scheduler

    scheduler = make_scheduler(house)
    scheduler.start()
    try:
        yield
    finally:
        await asyncio.to_thread(scheduler.shutdown)


def on_signals(act: Callable[[], None]) -> None:
    """Call `act` on SIGTERM and SIGINT instead of dying."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may take signals; a server that a test runs in a thread is stopped by its event.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(name, act)
