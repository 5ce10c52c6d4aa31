"""Brokers that a test harms: one node or a cluster of three, each a process of its own that can be killed, stopped and
started again, and each with one more listener for every client whose network is to be cut.

A client that leads through a proxy must be told the proxy's address by the broker, too: Kafka's clients connect to what
the broker advertises, wherever they asked first."""

from __future__ import annotations

import random
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from stream.broker import HOST, PROPERTIES, is_free, serves
from stream.broker_jars import DEPLOY, ensure_jars, find_java
from stream.errors import BrokerError

START_SECONDS: Final = 120.0
"""For a node to serve, with two others and some workers starting on the same two cores; usually 5 s."""
STOP_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05
HEAP: Final = "256m"
EVERY_CLIENT: Final = """\
controller.quorum.voters={voters}
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map={protocols}
# A dead node is noticed after so long (9 s unless changed): the others wait for it, and so does its own next life.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
SEVERAL_NODES: Final = """\
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
default.replication.factor=3
min.insync.replicas=2
replica.lag.time.max.ms=4000
"""


class Node:
    """One broker process; `listeners` are the ports behind the proxies, client by client."""

    def __init__(self, number: int, folder: Path, clients: int) -> None:
        self.number = number
        self.folder = folder
        self.port, self.controller = _lasting_port(), _lasting_port()
        self.listeners = tuple(_lasting_port() for _ in range(clients))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Begin; `wait` tells when it serves. What it says is appended to `broker.log`."""
        assert not self.running, f"node {self.number} runs already"
        options = [f"-Xmx{HEAP}", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}"]
        command = [find_java(), *options, "-cp", f"{ensure_jars()}/*", "kafka.Kafka", self._properties]
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Returns when it serves. Raises BrokerError when it does not, or has ended."""
        end = time.monotonic() + START_SECONDS
        while not serves(self.port):
            if time.monotonic() > end or not self.running:
                raise BrokerError(f"node {self.number} did not come up: see {self.folder}/broker.log")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """SIGKILL. What was acknowledged is in the page cache, and is found again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and wait: leaderships are handed over, logs are closed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def configure(self, nodes: list[Node], cluster: str, advertised: list[str]) -> None:
        """Write the properties and format the data folder. `advertised`: the proxy's address for each client."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = [f"C{client}" for client in range(len(self.listeners))]
        text = PROPERTIES.format(host=HOST, port=self.port, controller=self.controller, data=self.folder / "data")
        named = list(zip(names, self.listeners, advertised, strict=True))
        mine = [f"PLAINTEXT://{HOST}:{self.port}", *(f"{name}://{HOST}:{port}" for name, port, _ in named)]
        told = [f"PLAINTEXT://{HOST}:{self.port}", *(f"{name}://{address}" for name, _, address in named)]
        text += EVERY_CLIENT.format(
            voters=",".join(f"{node.number}@{HOST}:{node.controller}" for node in nodes),
            listeners=",".join([*mine, f"CONTROLLER://{HOST}:{self.controller}"]),
            advertised=",".join(told),
            protocols=",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names)),
        )
        text += f"node.id={self.number}\n" + (SEVERAL_NODES if len(nodes) > 1 else "")
        Path(self._properties).write_text(text)  # of a name given twice Kafka takes the last
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", self._properties]
        done = subprocess.run(
            [find_java(), "-Xshare:auto", "-cp", f"{ensure_jars()}/*", *tool],
            capture_output=True, text=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-1000:]

    @property
    def _properties(self) -> str:
        return str(self.folder / "server.properties")


class Brokers:
    """`nodes` brokers, 1 or 3, kept in `folder`; `clients`: how many have a listener of their own on each."""

    def __init__(self, folder: Path, nodes: int = 1, clients: int = 0) -> None:
        self.folder = folder
        self.nodes = [Node(number, folder / f"node-{number}", clients) for number in range(1, nodes + 1)]

    @property
    def bootstrap(self) -> str:
        """For those whose network is never cut."""
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def start(self, advertised: dict[tuple[int, int], str] | None = None) -> Self:
        """Returns when all serve. `advertised`: by (index of the node, client) the address of its proxy."""
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        told = [
            [(advertised or {})[index, client] for client in range(len(node.listeners))]
            for index, node in enumerate(self.nodes)
        ]
        with ThreadPoolExecutor() as pool:  # each formats its folder with a Java of its own
            list(pool.map(lambda node, mine: node.configure(self.nodes, cluster, mine), self.nodes, told))
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait()
        return self

    def end(self) -> None:
        """Leave no process behind."""
        for node in self.nodes:
            node.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.end()


def _lasting_port() -> int:
    """A free port below those that the system gives to outgoing connections: one of these could have it when the node
    comes back."""
    while not is_free(port := random.randrange(12_000, 32_000)):
        pass
    return port
