"""A broker for a machine that has none: one Apache Kafka node (KRaft, no Docker) on 127.0.0.1, kept in a folder.

Several stand side by side when each has its own folder and port. The folder holds `data/`, `broker.log`, the
`server.properties` of the last start, and `broker.pid` while it runs. A process is ended only when its command line
names this folder, so a pid that the system gave to another program is never touched.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import struct
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.broker_jars import DEPLOY, bare_environment, ensure_jars, find_java
from stream.errors import BrokerError

HOST = "127.0.0.1"  # never another interface: the embedded broker has no passwords
PORT = 9092
DIRECTORY = Path(".aegis/broker")
START_SECONDS = 60.0  # measured 4 to 8 s; a loaded CI machine takes several times that
STOP_SECONDS = 30.0  # a clean stop moves no leadership here, it flushes; past this the process is killed
POLL_SECONDS = 0.1

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
# A topic made by accident has the wrong partitions: only `aegis topics create` makes them.
auto.create.topics.enable=false
# One node can hold one copy.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
# Few partitions for the broker's own topics: 50 each cost seconds at every start and nothing is gained on one node.
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
# The usual 3 s pause before a group's first assignment is for fleets that start together; here a person is waiting.
group.initial.rebalance.delay.ms=0
# So that a test of a lost worker need not wait 6 s for the group to notice.
group.min.session.timeout.ms=1000
log.cleaner.enable=true
"""


@dataclass(frozen=True)
class Running:
    """A broker of ours that runs: its process id, the folder it keeps, and its port on 127.0.0.1."""

    pid: int
    directory: Path
    port: int

    @property
    def bootstrap(self) -> str:
        """The address for clients: host:port."""
        return f"{HOST}:{self.port}"


def start(
    directory: Path = DIRECTORY,
    port: int = PORT,
    wait: float = START_SECONDS,
    more: str = "",
    formatting: Sequence[str] = (),
) -> Running:
    """Starts the broker of this folder on 127.0.0.1:`port` and returns when it serves requests.

    `wait` is in seconds; `more` is properties besides those of PROPERTIES, or instead of them, with the same names in
    braces; `formatting` is options for Kafka's tool that formats a new folder. Raises BrokerError, one line each: it
    runs already, the port is taken, Java, Maven or the jars are missing, or it did not come up in time (then nothing is
    left running).
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with _only_starter(directory):
        running = status(directory)
        if running is not None:
            remedy = f"use it, or `aegis broker stop --directory {directory}`"
            raise BrokerError(f"a broker already runs on {running.bootstrap} (pid {running.pid}): {remedy}")
        if not is_free(port):
            raise BrokerError(f"port {port} on {HOST} is taken: stop the program that has it, or choose another --port")
        java, libs = find_java(), ensure_jars()
        (directory / "server.properties").write_text(
            (PROPERTIES + more).format(host=HOST, port=port, controller=_controller_port(port), data=directory / "data")
        )
        _format(java, libs, directory, formatting)
        pid = _spawn(java, libs, directory)
        running = Running(pid, directory, port)
        (directory / "broker.pid").write_text(f"{pid} {port}\n")
        _await_or_end(running, wait)
    return running


def stop(directory: Path = DIRECTORY, wait: float = STOP_SECONDS) -> Running:
    """Ends the broker of this folder and returns what ran; killed when `wait` seconds of a clean stop were not enough.

    Raises BrokerError when no broker of this folder runs.
    """
    running = status(directory)
    if running is None:
        raise BrokerError(f"no broker runs in {directory}: nothing to stop (`aegis broker start` starts one)")
    _end(running, wait)
    return running


def status(directory: Path = DIRECTORY) -> Running | None:
    """Returns the broker of this folder, None when it does not run (also when its pid is another program's by now)."""
    directory = directory.resolve()
    try:
        pid, port = map(int, (directory / "broker.pid").read_text().split())
    except (FileNotFoundError, ValueError):  # never started, or cut off while it was written
        return None
    running = Running(pid, directory, port)
    return running if _alive(running) else None


def serves(port: int, timeout: float = 2.0) -> bool:
    """Whether a Kafka broker on 127.0.0.1:`port` answers, and names at least one node that is ready for work.

    Asked with a Metadata request by hand (version 1, no topics): it needs no event loop, and an accepted connection
    alone proves nothing, for the listener opens before the node is unfenced.
    """
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((HOST, port), timeout=timeout) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 12 and int(struct.unpack(">iii", answer)[2]) > 0


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody listens on now, nor on the one after it (the controller's).

    Below those that systems draw for outgoing connections (from 32768 on): one of these could take it before its
    server does."""
    while True:
        port = random.randrange(20_000, 32_000, 2)
        if is_free(port) and is_free(port + 1):
            return port


@contextmanager
def _only_starter(directory: Path) -> Iterator[None]:
    """Two starts of one folder at once: the second waits here, and then finds the first one's broker running."""
    with (directory / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier broker may linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _controller_port(port: int) -> int:
    return port + 1 if port < 65535 and is_free(port + 1) else free_port()


def _java(java: str, libs: Path, directory: Path, *options: str) -> list[str]:
    return [java, *options, *_marks(directory), "-cp", f"{libs}/*"]


def _format(java: str, libs: Path, directory: Path, more: Sequence[str]) -> None:
    mark = directory / "data" / "meta.properties"
    if mark.is_file():
        return
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # One word, not two: every 64th id begins with a dash, which Kafka's tool would read as another option.
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", f"--cluster-id={cluster}", *more]
    command = [*_java(java, libs, directory), *tool, "-c", str(directory / "server.properties")]
    env = bare_environment()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise BrokerError(
            f"Kafka could not format {directory}/data ({said[-1][:300]}): mend that, or remove the folder"
        )


def _spawn(java: str, libs: Path, directory: Path) -> int:
    # 512 MB is plenty for one node's work here, and leaves a laptop its memory; the page cache does the rest.
    command = [*_java(java, libs, directory, "-Xms128m", "-Xmx512m", "-XX:+UseG1GC"), "kafka.Kafka"]
    command.append(str(directory / "server.properties"))
    log, flags = str(directory / "broker.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # A session of its own: Ctrl-C in the terminal must end the command that a person runs, not the broker under it.
    return os.posix_spawn(
        java,
        command,
        bare_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _await_or_end(running: Running, wait: float) -> None:
    try:
        _await(running, wait)
    except BaseException:  # Ctrl-C too: who asked for a broker and did not get one must not find a process later
        _end(running, STOP_SECONDS)
        raise


def _await(running: Running, wait: float) -> None:
    deadline = time.monotonic() + wait
    while not serves(running.port):
        if not _alive(running):
            raise BrokerError(f"the broker ended at once ({_last_line(running)}): {_see(running)}")
        if time.monotonic() > deadline:
            raise BrokerError(f"the broker is not up after {wait:.0f} s ({_last_line(running)}): {_see(running)}")
        time.sleep(POLL_SECONDS)


def _see(running: Running) -> str:
    return f"mend that and start it again; all it said is in {running.directory}/broker.log"


def _last_line(running: Running) -> str:
    lines = (running.directory / "broker.log").read_text(errors="replace").strip().splitlines()
    told = [line for line in lines if " ERROR " in line or " FATAL " in line] or lines
    return told[-1][:300] if told else "it said nothing"


def _end(running: Running, wait: float) -> None:
    deadline = time.monotonic() + wait
    signals = [signal.SIGTERM, signal.SIGKILL]
    while _alive(running):
        if signals and (len(signals) == 2 or time.monotonic() > deadline):
            os.kill(running.pid, signals.pop(0))
        time.sleep(POLL_SECONDS)
    (running.directory / "broker.pid").unlink(missing_ok=True)


def _alive(running: Running) -> bool:
    line = _command_line(running.pid)
    if line:
        return f" {' '.join(_marks(running.directory))} " in line
    # No arguments: no such process, or a child of ours that has ended and must be waited for, or has not begun yet.
    try:
        return os.waitpid(running.pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _marks(directory: Path) -> list[str]:
    """The arguments that say whose broker a process is; two, so that the folder `a` is not taken for `a b`."""
    return [f"-Daegis.broker={directory}", f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}"]


def _command_line(pid: int) -> str:
    """The arguments of a process with a blank between them, empty when there are none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    done = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout
