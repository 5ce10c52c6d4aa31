"""The network between one worker and the brokers: a TCP proxy that can be cut in several ways, and mended.

What is held while a cut lasts is delivered when it is mended, as TCP does: so a request that a worker had given up may
arrive much later, when its partition has another owner."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

HOST: Final = "127.0.0.1"
CHUNK: Final = 65536
DELAY_SECONDS: Final = 0.2


class Weather(StrEnum):
    """What the network does with what it is given."""

    CLEAR = "clear"
    BLACKHOLE = "blackhole"
    """Nothing arrives, in either direction, and nobody is told."""
    DEAF = "deaf"
    """Requests arrive; answers do not."""
    RESET = "reset"
    """Every connection is broken off, and so is each new one."""
    DELAY = "delay"
    """Every 64 KiB, or less, take 200 ms longer."""


class Link:
    """The proxies of one worker, one for each broker; all have the same weather."""

    def __init__(self, network: Network, targets: list[int]) -> None:
        """`targets`: the broker's listener behind each proxy."""
        self._network = network
        self._weather = Weather.CLEAR
        self._flows = {True: asyncio.Event(), False: asyncio.Event()}
        self._connections = network.connections()
        self._servers: list[asyncio.Server] = network.call(self._listen(targets))
        self.addresses = ["{}:{}".format(*server.sockets[0].getsockname()) for server in self._servers]

    @property
    def bootstrap(self) -> str:
        return ",".join(self.addresses)

    def change(self, weather: Weather) -> None:
        """From now on."""
        self._network.call(self._change(weather))

    def close(self) -> None:
        self._network.call(self._close())

    async def _listen(self, targets: list[int]) -> list[asyncio.Server]:
        await self._change(Weather.CLEAR)

        def to(port: int) -> Any:
            return lambda reader, writer: self._accept(reader, writer, port)

        return [await asyncio.start_server(to(port), HOST, 0) for port in targets]

    async def _change(self, weather: Weather) -> None:
        self._weather = weather
        for upwards, flows in self._flows.items():
            held = weather is Weather.BLACKHOLE or (weather is Weather.DEAF and not upwards)
            (flows.clear if held else flows.set)()
        if weather is Weather.RESET:
            self._abort()

    def _abort(self) -> None:
        for writer in list(self._connections):
            writer.transport.abort()

    async def _close(self) -> None:
        self._abort()
        loop = asyncio.get_running_loop()
        for listening in (socket for server in self._servers for socket in server.sockets):
            loop.remove_reader(listening.fileno())
        await asyncio.sleep(0.01)  # who was accepted gets its connection: a server that is closed attaches none to it
        for server in self._servers:
            server.close()

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> Coroutine[Any, Any, None]:
        self._connections.add(writer)  # at once: a task that is cancelled before its first step would close nothing
        return self._serve(reader, writer, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        try:
            await self._flows[True].wait()
            if self._weather is Weather.RESET:
                return
            with suppress(OSError):  # a broker that is down answers nobody
                there, back = await asyncio.open_connection(HOST, port)
                self._connections.add(back)
                try:
                    pumps = [self._pump(reader, back, upwards=True), self._pump(there, writer, upwards=False)]
                    _, left = await asyncio.wait(map(asyncio.create_task, pumps), return_when=asyncio.FIRST_COMPLETED)
                    for pump in left:
                        pump.cancel()
                finally:
                    self._connections.discard(back)
                    back.transport.abort()
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upwards: bool) -> None:
        with suppress(OSError):  # the other side went away
            while chunk := await reader.read(CHUNK):
                await self._flows[upwards].wait()
                if self._weather is Weather.DELAY:
                    await asyncio.sleep(DELAY_SECONDS)
                writer.write(chunk)
                await writer.drain()


class Network:
    """The loop of all links, on a thread of its own: the judge, who computes for seconds, must not be a cut."""

    def __init__(self) -> None:
        self._connections: list[set[asyncio.StreamWriter]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def connections(self) -> set[asyncio.StreamWriter]:
        """An empty set: what is in it when the network is closed is ended then."""
        self._connections.append(set())
        return self._connections[-1]

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What it returns, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    def close(self) -> None:
        """Every connection is ended first."""
        self.call(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in set().union(*self._connections):
            writer.transport.abort()
        await asyncio.sleep(0.01)  # a transport that was aborted closes its socket in a later turn of the loop
