"""A gateway as a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai

from stream.settings import Settings
from support.kafka import eventually
from support.worker_process import READY_SECONDS, WorkerProcess

COMMAND = (sys.executable, "-m", "stream", "gateway", "--port", "0")


class Gateway(WorkerProcess):
    """`aegis gateway` on a free port, with these arguments."""

    def __init__(self, settings: Settings, log: Path, *arguments: str, command: tuple[str, ...] = COMMAND) -> None:
        super().__init__(settings, log, (*command, *arguments))

    def address(self) -> str:
        """Where it listens, once it does."""

        def told() -> str | None:
            self.assert_running()
            return next((str(event["address"]) for event in self.events("gateway_listening")), None)

        return str(eventually(told, READY_SECONDS, "gateway_listening"))


@contextmanager
def gateway(settings: Settings, log: Path, *arguments: str) -> Iterator[Gateway]:
    """One that listens, and has ended well and logged no traceback in the end."""
    with Gateway(settings, log, *arguments) as running:
        running.address()
        yield running


def client(address: str, token: str = "nobody-asks-for-one", retries: int = 0) -> openai.OpenAI:
    """OpenAI's own client pointed here."""
    return openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=retries)


async def post(address: str, path: str, body: Any, token: str | None = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    if token is not None:
        headers = {"Authorization": f"Bearer {token}", **headers}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{address}{path}", data=data, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


async def get(address: str, path: str) -> tuple[int, str]:
    """Status and text of an answer."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}{path}") as answer:
        return answer.status, await answer.text()
