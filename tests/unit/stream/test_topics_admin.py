from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from stream import topics_admin
from stream.__main__ import cli
from stream.broker import free_port
from stream.errors import BrokerError
from stream.settings import Settings


def test_an_unreachable_broker_is_one_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("AEGIS_BROKER", address)
    done = CliRunner().invoke(cli, ["topics", "check"])
    assert done.exit_code == BrokerError.exit_code
    remedy = "start one with `aegis broker start`, or name another with AEGIS_BROKER"
    assert done.stderr == f"Error: no broker answers at {address}: {remedy}\n"


@pytest.mark.parametrize("address", ["nowhere.invalid:9092", "127.0.0.1:port"])
async def test_an_address_that_cannot_be_is_the_same_line(address: str) -> None:
    with pytest.raises(BrokerError, match=f"no broker answers at {address}"):
        await topics_admin.check(Settings(broker=address))


async def test_a_listener_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics_admin, "CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(BrokerError, match="no broker answers at"):
            await topics_admin.check(Settings(broker=f"127.0.0.1:{silent.getsockname()[1]}"))
