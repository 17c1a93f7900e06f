"""The roles: web, scheduler and worker, each a process of its own or all in one (`digest up`)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import structlog
import uvicorn

from digest.schedule import make_scheduler
from digest.web.app import create_app
from digest.wiring import House

log = structlog.get_logger()


@dataclass(frozen=True)
class Roles:
    """What a process does."""

    web: bool = False
    scheduler: bool = False
    worker: bool = False


class Server(uvicorn.Server):
    """The web server, without signal handlers of its own: a signal ends all roles of the process together."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so."""
        await super().startup(sockets)
        log.info("pages are served", host=self.config.host, port=self.config.port)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


def make_server(house: House, *, port: int | None = None) -> Server:
    """The web server for a house. It keeps no access log: paths hold readers' tokens (O-04)."""
    web = house.settings.web
    config = uvicorn.Config(
        create_app(house.parts()),
        host=web.host,
        port=web.port if port is None else port,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="on",
        # A slow client must not keep the process from ending.
        timeout_graceful_shutdown=10,
    )
    return Server(config)


async def serve(house: House, roles: Roles, *, stopping: asyncio.Event | None = None) -> None:
    """Do what the roles say until SIGTERM or SIGINT; transactions under way are then finished (S-14)."""
    stopping = stopping or asyncio.Event()
    on_signals(stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        if roles.scheduler:
            await stack.enter_async_context(_scheduler(house))
        async with asyncio.TaskGroup() as group:
            if roles.web:
                group.create_task(_web(make_server(house), stopping))
            if roles.worker:
                group.create_task(house.worker().run(stopping))
            await stopping.wait()
            log.info("stopping", note="what is under way is finished")


async def _web(server: Server, stopping: asyncio.Event) -> None:
    async def end() -> None:
        await stopping.wait()
        server.should_exit = True

    ender = asyncio.create_task(end())
    try:
        await server.serve()
    finally:
        ender.cancel()
        stopping.set()


@contextlib.asynccontextmanager
async def _scheduler(house: House) -> AsyncIterator[None]:
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
