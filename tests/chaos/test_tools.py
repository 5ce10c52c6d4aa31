"""The tools of the nemesis do what they say: a cut that cuts nothing would make every run pass."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from rocksdict import Rdict

from chaos import disk
from chaos.control import Control, Orders, give, wrap_clock
from chaos.network import DELAY_SECONDS, HOST, Link, Network, Weather

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, list[bytes]]]:
    """A link to a server that answers everything in capitals, and what that server has heard."""
    heard: list[bytes] = []
    answering: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.current_task())
        with suppress(ConnectionError):
            while data := await reader.read(1000):
                heard.append(data)
                writer.write(data.upper())
        await closed(writer)

    server = await asyncio.start_server(answer, HOST, 0)
    network = Network()
    link = Link(network, [server.sockets[0].getsockname()[1]])
    try:
        yield link, heard
    finally:
        link.close()
        network.close()
        await asyncio.gather(*filter(None, answering))
        server.close()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def connect(link: Link) -> Pipe:
    host, port = link.bootstrap.split(":")
    return await asyncio.open_connection(host, int(port))


async def ask(pipe: Pipe, text: bytes) -> bytes:
    reader, writer = pipe
    writer.write(text)
    return await reader.read(1000)


async def is_broken(pipe: Pipe) -> bool:
    try:
        return await ask(pipe, b"b") == b""
    except ConnectionError:
        return True


async def test_what_a_cut_holds_arrives_when_it_is_mended_and_one_way_is_only_one() -> None:
    async with linked() as (link, heard):
        pipe = await connect(link)
        assert await ask(pipe, b"a") == b"A"
        for weather, arrives in ((Weather.BLACKHOLE, False), (Weather.DEAF, True)):
            link.change(weather)
            asking = asyncio.create_task(ask(pipe, b"b"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asking), 0.3)
            assert (heard[-1] == b"b") is arrives
            link.change(Weather.CLEAR)
            assert await asking == b"B"
            heard.append(b"")
        await closed(pipe[1])


async def test_a_reset_breaks_what_is_open_and_lets_nobody_in_and_a_delay_only_delays() -> None:
    async with linked() as (link, _):
        pipe = await connect(link)
        assert await ask(pipe, b"a") == b"A"
        link.change(Weather.RESET)
        assert await is_broken(pipe)
        new = await connect(link)
        assert await is_broken(new)
        link.change(Weather.DELAY)
        late = await connect(link)
        began = time.monotonic()
        assert await ask(late, b"c") == b"C"
        assert time.monotonic() - began >= 2 * DELAY_SECONDS
        for _, writer in (pipe, new, late):
            await closed(writer)


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_network_that_ends_while_somebody_comes_in_leaves_no_connection_behind() -> None:
    for _ in range(20):
        network = Network()
        link = Link(network, [1])  # nobody listens there
        host, port = link.bootstrap.split(":")
        coming = [socket.create_connection((host, int(port))) for _ in range(5)]
        link.close()
        network.close()
        for one in coming:
            one.close()
    gc.collect()  # pytest makes an error of what is found unclosed


def test_a_clock_is_as_wrong_as_ordered_and_durations_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", time.time)  # so that both are as they were afterwards
    monkeypatch.setattr(time, "time_ns", time.time_ns)
    true, orders = time.time_ns, tmp_path / "orders.json"
    wrap_clock(Control(orders), true)
    assert abs(time.time_ns() - true()) < 10**9
    give(orders, Orders(clock_seconds=-3600.0))
    before = time.monotonic()
    while time.time_ns() > true() - 10**9:  # it looks again within 20 ms
        assert time.monotonic() - before < 10.0
    assert abs(time.time() - (true() / 1e9 - 3600.0)) < 1.0


@pytest.mark.parametrize("seed", range(4))
def test_corrupted_state_is_noticed_when_it_is_opened_or_read(tmp_path: Path, seed: int) -> None:
    database = Rdict(str(tmp_path / "state-0"))
    for number in range(1000):
        database[number] = "v" * 100
    database.close()
    assert disk.corrupt(tmp_path, random.Random(seed)) > 0
    with pytest.raises(Exception, match="Corruption"):  # rocksdict's own are bare
        _read_all(tmp_path / "state-0")


def _read_all(folder: Path) -> None:
    database = Rdict(str(folder))
    try:
        for number in range(1000):
            database.get(number)
    finally:
        database.close()


def test_a_full_disk_takes_nothing_more_and_has_room_again(tmp_path: Path) -> None:
    if not disk.mount(tmp_path):
        pytest.skip("a disk of its own cannot be mounted here")
    try:
        disk.fill(tmp_path)
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "more").write_bytes(b"more")
        disk.clear(tmp_path)
        assert (tmp_path / "more").write_bytes(b"more") == 4
    finally:
        disk.unmount(tmp_path)
