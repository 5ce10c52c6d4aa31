from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stream import broker, broker_jars
from stream.__main__ import cli
from stream.errors import BrokerError

COMPOSE = broker_jars.ROOT / "deploy" / "compose.yaml"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty PATH; returns the folder that PATH names."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return programs


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind((broker.HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def java(folder: Path, version: str = "17.0.15", run: str = "exit 0") -> None:
    """A Java that formats at once, and runs `run` as the broker."""
    answer = (
        f"""case "$*" in -version) echo 'openjdk version "{version}"' >&2;; *StorageTool*) exit 0;; *) {run};; esac"""
    )
    program(folder, "java", answer)


def refusal(directory: Path, port: int | None = None) -> str:
    with pytest.raises(BrokerError) as refused:
        broker.start(directory, port or broker.free_port(), wait=1)
    line = str(refused.value)
    assert "\n" not in line
    return line


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "ensure_jars", lambda: tmp_path)


def test_no_java_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path / "b") == (
        "there is no Java in PATH: install a JRE 17 or newer, or name a running broker with AEGIS_BROKER"
    )


def test_a_java_home_without_java_is_named(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert refusal(tmp_path / "b").startswith(f"JAVA_HOME={tmp_path} has no bin/java: install a JRE 17")


@pytest.mark.parametrize(("version", "number"), [("1.8.0_402", 8), ("11.0.22", 11), ("16", 16)])
def test_a_java_that_is_too_old_says_so(bare: Path, tmp_path: Path, version: str, number: int) -> None:
    java(bare, version)
    assert f"is Java {number}, the broker needs 17: install a newer JRE" in refusal(tmp_path / "b")


def test_a_java_that_does_not_tell_its_version_says_so(bare: Path, tmp_path: Path) -> None:
    program(bare, "java", "exit 0")
    assert "does not tell its version" in refusal(tmp_path / "b")


def test_no_maven_says_what_to_install(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"there is no Maven in PATH.*: install Maven, or name a running broker"):
        broker_jars.ensure_jars(tmp_path / "libs")


def test_a_failed_maven_is_one_line_with_its_first_error_and_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    program(bare, "mvn", "echo '[ERROR] no route to host'; echo '[ERROR] for more'; exit 1")
    with pytest.raises(BrokerError, match=r"could not fetch Apache Kafka \(no route to host\): check the network"):
        broker_jars.ensure_jars(tmp_path / "kafka" / "libs")
    assert list((tmp_path / "kafka").iterdir()) == []


def test_a_maven_that_fetches_nothing_is_refused(bare: Path, tmp_path: Path) -> None:
    program(bare, "mvn", "exit 0")
    with pytest.raises(BrokerError, match="fetched no Kafka server"):
        broker_jars.ensure_jars(tmp_path / "libs")


def test_maven_is_asked_once_and_again_when_the_pom_changes(bare: Path, tmp_path: Path) -> None:
    pom, libs, calls = tmp_path / "pom.xml", tmp_path / "libs", tmp_path / "calls"
    program(
        bare,
        "mvn",
        f'echo x >> {calls}; for a; do d=${{a#-DoutputDirectory=}}; done; /bin/mkdir -p "$d"; : > "$d/kafka_1.jar"',
    )
    pom.write_text("one")
    for _ in range(2):
        assert (broker_jars.ensure_jars(libs, pom) / "kafka_1.jar").is_file()
    assert calls.read_text().count("x") == 1
    pom.write_text("two")
    broker_jars.ensure_jars(libs, pom)
    assert calls.read_text().count("x") == 2


def test_without_the_source_checkout_the_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="from a source checkout, or name a running broker"):
        broker_jars.ensure_jars(tmp_path / "libs", tmp_path / "pom.xml")


def test_a_taken_port_is_named(tmp_path: Path, taken: int) -> None:
    assert refusal(tmp_path / "b", taken).startswith(f"port {taken} on 127.0.0.1 is taken: stop the program")


def test_a_broker_that_ends_at_once_shows_its_last_error(bare: Path, jars: None, tmp_path: Path) -> None:
    java(bare, run="echo '2026 ERROR Kafka: the disk is full'; echo bye; exit 1")
    line = refusal(tmp_path / "b")
    assert line.startswith("the broker ended at once (2026 ERROR Kafka: the disk is full): ")
    assert broker.status(tmp_path / "b") is None


def test_a_program_of_others_gets_none_of_our_settings(
    bare: Path, jars: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_SASL_PASSWORD", "a-canary-of-a-secret")
    java(bare, run=f"set > {tmp_path}/environment; exit 1")
    refusal(tmp_path / "b")
    assert "PATH" in (tmp_path / "environment").read_text()
    assert "AEGIS" not in (tmp_path / "environment").read_text()


def test_a_broker_that_never_serves_is_ended(bare: Path, jars: None, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    java(bare, run=f"echo $$ > {tmp_path}/pid; echo starting; read x < {tmp_path}/never")
    assert refusal(tmp_path / "b").startswith("the broker is not up after 1 s (starting): ")
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_pid_that_now_belongs_to_another_program_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "broker.pid").write_text(f"{os.getpid()} 9092\n")
    assert broker.status(tmp_path) is None
    with pytest.raises(BrokerError, match="no broker runs in"):
        broker.stop(tmp_path)


def test_a_listener_that_is_no_broker_does_not_serve(taken: int) -> None:
    assert not broker.serves(taken, timeout=0.2)
    assert not broker.serves(broker.free_port(), timeout=0.2)


def test_the_broker_listens_on_the_loopback_address_alone() -> None:
    text = broker.PROPERTIES.format(host=broker.HOST, port=1, controller=2, data="d")
    (listeners,) = re.findall(r"^listeners=(.*)$", text, re.MULTILINE)
    assert re.findall(r"//([^:]*):", listeners) == ["127.0.0.1", "127.0.0.1"]


def test_docker_runs_the_same_broker() -> None:
    ours = dict(re.findall(r"^([a-z.]+)=(.*)$", broker.PROPERTIES, re.MULTILINE))
    theirs = dict(re.findall(r'^ +KAFKA_([A-Z_]+): "?([^"\n]*)"?$', COMPOSE.read_text(), re.MULTILINE))
    theirs = {name.lower().replace("_", "."): value for name, value in theirs.items()}
    addresses = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}
    # One listener more, for the services beside it.
    assert theirs["listener.security.protocol.map"].split(",").pop(1) == "INSIDE:PLAINTEXT"
    theirs["listener.security.protocol.map"] = theirs["listener.security.protocol.map"].replace("INSIDE:PLAINTEXT,", "")
    assert theirs.pop("heap.opts") == "-Xms128m -Xmx512m"
    assert {name: value for name, value in ours.items() if name not in addresses} == {
        name: value for name, value in theirs.items() if name not in addresses
    }
    assert set(ours) == set(theirs)


def test_docker_runs_the_same_version() -> None:
    pom = (broker_jars.DEPLOY / "pom.xml").read_text()
    (version,) = re.findall(r"<artifactId>kafka_2.13</artifactId>\s*<version>([\d.]+)</version>", pom)
    assert f"image: apache/kafka:{version}\n" in COMPOSE.read_text()


def test_the_command_prints_one_line_and_fails(bare: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["broker", "stop", "--directory", str(tmp_path)])
    assert done.exit_code == BrokerError.exit_code
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: no broker runs in {tmp_path}")


@pytest.mark.parametrize("group", ["broker", "topics"])
def test_every_command_shows_an_example(group: str) -> None:
    context = click.Context(cli)
    found = cli.get_command(context, group)
    assert isinstance(found, click.Group)
    commands = found.commands
    for words in [[], [group], *([group, name] for name in commands)]:
        shown = CliRunner().invoke(cli, [*words, "--help"])
        assert shown.exit_code == 0
        assert "Example" in shown.output, words
