"""The web server of a house: its pages at a door, from `parts_of` what they are made with."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Iterator

import structlog
import uvicorn

from digest import migrations
from digest.queue import jobs
from digest.web.app import Parts, create_app
from digest.wiring import House, template_folders
from subscribers.pages import Pages
from subscribers.web import public_routes

log = structlog.get_logger()


def parts_of(house: House) -> Parts:
    """What the pages are given."""
    folders = template_folders(house.settings, "web")
    first = next(iter(house.settings.newsletters.values()))
    pages = Pages(folders, site_title=first.title, dated=house.renderer.dated)
    guard = house.service.guard(house.settings.form.rules)
    return Parts(
        settings=house.settings,
        database=house.database,
        vault=house.vault,
        keys=house.keys,
        renderer=house.renderer,
        outbox=house.outbox,
        pages=pages,
        static=[folder / "static" for folder in folders if (folder / "static").is_dir()],
        public_routes=public_routes(house.service, pages, house.clock, guard, house.settings.form.origins),
        clock=house.clock,
        pressed=guard.trouble,
        unready=lambda: migrations.trouble(house.database),
        enqueue=jobs.enqueue,
    )


class Server(uvicorn.Server):
    """The web server, without signal handlers of its own: a signal ends all roles of the process together."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        log.info("pages are served", host=host, port=port)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


def make_server(house: House, *, port: int | None = None) -> Server:
    """The web server for a house. It keeps no access log: paths hold readers' tokens (O-04)."""
    web = house.settings.web
    config = uvicorn.Config(
        create_app(parts_of(house)),
        host=web.host,
        port=web.port if port is None else port,
        access_log=False,
        log_config=None,
        server_header=False,
        # Without proxies of ours no header says where somebody comes from (O-26): the server's default would believe
        # whatever this machine itself sends, an onion service for example.
        proxy_headers=bool(web.proxies),
        forwarded_allow_ips=list(web.proxies),
        lifespan="on",
        # A slow client must not keep the process from ending.
        timeout_graceful_shutdown=10,
    )
    return Server(config)


async def serve(house: House, door: socket.socket, stopping: asyncio.Event) -> None:
    """Serve the pages at a door until told to stop; tells the other roles where it stops by itself."""
    server = make_server(house)

    async def end() -> None:
        await stopping.wait()
        server.should_exit = True

    ender = asyncio.create_task(end())
    try:
        with _kept():
            await server.serve([door])
    finally:
        ender.cancel()
        stopping.set()


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Let what the process has made until now pass for what it will keep.

    A full search for garbage goes through all of it, and nobody is answered for an eighth of a second; busy days have
    one every ten seconds. Now it goes through what the requests have made.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
