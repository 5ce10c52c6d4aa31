"""Workers and commands on a broker that asks who comes, and lets nobody do what was not granted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AclOperation

from stream import connection, topics_admin
from stream.__main__ import cli
from stream.errors import BrokerError, SettingsError, TopicsError
from stream.rights import refuse_lacking
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames
from support.acls import allow, allow_nothing
from support.authority import Authority
from support.broker import Namespace
from support.flow import Flow, label, record_of, turn, unique, votes_of
from support.secured import MARKS, PASSWORDS, PRODUCER, WORKER, Secured, client, granted
from support.worker_process import WorkerProcess, environment

pytestmark = MARKS


def the_token(broker: Secured, folder: Path, **life: float) -> Path:
    file = folder / "token"
    file.write_text(broker.issuer.token("worker", **life))
    return file


WAYS: dict[str, Callable[[Secured, Path], dict[str, Any]]] = {
    "SCRAM-SHA-512": lambda broker, _: broker.scram(),
    "SCRAM-SHA-256": lambda broker, _: broker.scram(sasl_mechanism="scram-sha-256"),
    "PLAIN": lambda broker, _: broker.scram(sasl_mechanism="PLAIN"),
    "without TLS": lambda broker, _: broker.scram(
        broker=broker.clear, security_protocol="SASL_PLAINTEXT", ssl_ca_file=None
    ),
    "OAUTHBEARER": lambda broker, folder: broker.token(the_token(broker, folder)),
    "a certificate": lambda broker, _: broker.certificate(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_comes_in_as_the_worker(broker_asking: Secured, plain: Settings, tmp_path: Path, way: str) -> None:
    settings = client(plain, WAYS[way](broker_asking, tmp_path))
    allow(broker_asking.plain, granted(settings, "worker", WORKER))
    asyncio.run(refuse_lacking(settings))
    assert asyncio.run(topics_admin.check(settings)) == []


def other_authority(folder: Path) -> Authority:
    made = Authority.new(folder / "other")
    made.sign("worker")
    return made


REFUSALS: dict[str, tuple[Callable[[Secured, Path], dict[str, Any]], str]] = {
    "a wrong password": (
        lambda broker, _: broker.scram(sasl_password="wrong"),
        "refused the password or user: mend AEGIS_SASL_USERNAME or AEGIS_SASL_PASSWORD(_FILE)",
    ),
    "a wrong password, sent": (
        lambda broker, _: broker.scram(sasl_password="wrong", sasl_mechanism="PLAIN"),
        "refused the password or user: mend AEGIS_SASL_USERNAME",
    ),
    "an unknown authority": (
        lambda broker, folder: broker.scram(ssl_ca_file=other_authority(folder).ca),
        "signed: set AEGIS_SSL_CA_FILE to the certificate of who did",
    ),
    "an authority that the system does not know": (
        lambda broker, _: broker.scram(ssl_ca_file=None),
        "has a certificate that nobody in the system's trust signed: set AEGIS_SSL_CA_FILE",
    ),
    "another host's certificate": (
        lambda broker, _: broker.scram(broker=broker.sasl.replace("localhost", "127.0.0.1")),
        "has a certificate for another name: set AEGIS_BROKER to the name in it",
    ),
    "an expired certificate": (
        lambda broker, _: broker.certificate("late"),
        "refused the client's certificate: see that AEGIS_SSL_CERT_FILE has not expired, and who signed it",
    ),
    "a stranger's certificate": (
        lambda broker, folder: broker.certificate(
            ssl_cert_file=(other := other_authority(folder)).certificate("worker"), ssl_key_file=other.key("worker")
        ),
        "refused the client's certificate: see that AEGIS_SSL_CERT_FILE",
    ),
    "no certificate": (
        lambda broker, _: broker.certificate(ssl_cert_file=None, ssl_key_file=None),
        "asks for a client's certificate: set AEGIS_SSL_CERT_FILE and AEGIS_SSL_KEY_FILE",
    ),
    "an expired token": (
        lambda broker, folder: broker.token(the_token(broker, folder, life=-100.0)),
        "refused the token: see that AEGIS_SASL_TOKEN_FILE is renewed",
    ),
    "another mechanism": (
        lambda broker, _: broker.scram(
            broker=broker.clear, security_protocol="sasl_plaintext", ssl_ca_file=None, sasl_mechanism="PLAIN"
        ),
        "takes no PLAIN: set AEGIS_SASL_MECHANISM to what it takes there",
    ),
    "no TLS where it is wanted": (
        lambda broker, _: {"broker": broker.sasl},
        "ended the connection at once: AEGIS_SECURITY_PROTOCOL is plaintext, set it to what the broker speaks",
    ),
    "a token URL that nobody answers": (
        lambda broker, _: broker.scram(sasl_mechanism="OAUTHBEARER", sasl_token_url="http://127.0.0.1:1/token"),
        "was not asked, since there is nothing to show it: AEGIS_SASL_TOKEN_URL does not answer",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_who_is_refused_is_told_in_one_line_what_mends_it(broker_asking: Secured, tmp_path: Path, what: str) -> None:
    how, says = REFUSALS[what]
    settings = Namespace.new().settings(**how(broker_asking, tmp_path))
    shown = CliRunner(env=environment(settings)).invoke(cli, ["topics", "check"])
    assert shown.exit_code == BrokerError.exit_code
    assert says in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert not [secret for secret in PASSWORDS.values() if secret in shown.output]


def test_a_missing_file_ends_a_command_before_anybody_is_asked(broker_asking: Secured, tmp_path: Path) -> None:
    settings = Namespace.new().settings(**broker_asking.scram(ssl_ca_file=tmp_path / "none.pem"))
    shown = CliRunner(env=environment(settings)).invoke(cli, ["topics", "check"])
    assert shown.exit_code == SettingsError.exit_code
    assert shown.stderr.startswith(f"Error: AEGIS_SSL_CA_FILE: {tmp_path}/none.pem cannot be read")


def test_a_worker_with_the_rights_that_are_printed_judges_learns_and_sets_aside(
    broker_asking: Secured, plain: Settings, tmp_path: Path
) -> None:
    settings, site = client(plain, broker_asking.scram()), client(plain, broker_asking.scram("producer"))
    allow(broker_asking.plain, granted(settings, "worker", WORKER))
    allow(broker_asking.plain, granted(settings, "producer", PRODUCER))
    allow(broker_asking.plain, granted(settings, "labeller", PRODUCER))
    with WorkerProcess(settings, tmp_path / "log") as worker:
        worker.ready()
        flow = Flow(plain, TopicNames.of(plain), worker)
        asyncio.run(_judged_and_learned(flow, site))
        assert worker.terminate() == 0
        assert not [secret for secret in PASSWORDS.values() if secret in worker.text()]


async def _judged_and_learned(flow: Flow, site: Settings) -> None:
    """A turn, a label before its turn, one after it, and one that is no label: every topic is written."""
    early, late = turn(unique("early")), turn(unique("late"))
    await _sent(site, flow.names.labels, record_of(label(early.turn_id)), record_of(label(unique("elsewhere"))))
    await _sent(site, flow.names.turns, record_of(early), record_of(late))
    await flow.verdicts(early.turn_id, late.turn_id)
    await _sent(site, flow.names.labels, record_of(label(late.turn_id, "safe")))
    await flow.pending(late.turn_id, lambda p: votes_of(p) == {"ann": 0})
    await flow.pending(early.turn_id, lambda p: votes_of(p) == {"ann": 2})
    (source,) = await flow.send(flow.names.labels, record_of(label("x" * 200)))
    assert (await flow.letter(source)).reason == "out_of_range"
    await flow.weights("default/user", lambda weights: weights.rounds == 2)


async def _sent(settings: Settings, topic: str, *records: Any) -> None:
    sender = await Sender(settings, topic).start()
    try:
        found = [Outbound(number, record.key, record.value) for number, record in enumerate(records)]
        assert await sender.send(found, lambda count: None) == []
    finally:
        await sender.stop()


def test_without_any_one_of_these_rights_a_worker_is_refused(broker_asking: Secured, plain: Settings) -> None:
    settings = client(plain, broker_asking.scram())
    every = granted(settings, "worker", WORKER)
    assert len(every) > 15
    for missing in every:
        allow_nothing(broker_asking.plain)
        allow(broker_asking.plain, [binding for binding in every if binding is not missing])
        with pytest.raises(TopicsError, match=r"the broker does not let this user .*: grant what `aegis topics acls`"):
            asyncio.run(refuse_lacking(settings))


def test_a_worker_without_its_rights_ends_with_one_line(
    broker_asking: Secured, plain: Settings, tmp_path: Path
) -> None:
    settings = client(plain, broker_asking.scram())
    every = granted(settings, "worker", WORKER)
    verdicts = TopicNames.of(settings).verdicts
    allow(broker_asking.plain, [b for b in every if (b.name, b.operation) != (verdicts, AclOperation.WRITE)])
    with WorkerProcess(settings, tmp_path / "log") as worker:
        assert worker.wait() == TopicsError.exit_code
        says = f"does not let this user DescribeConfigs {verdicts} (and 1 more): grant what `aegis topics acls` prints"
        assert [says in line for line in worker.text().splitlines() if "worker_starting" not in line] == [True]


async def test_a_password_that_was_changed_is_used_from_the_next_connection_on(
    broker_asking: Secured, plain: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("an old one")
    settings = client(plain, broker_asking.scram(sasl_password=None, sasl_password_file=file))
    with pytest.raises(BrokerError, match="refused the password or user"):
        await topics_admin.check(settings)
    file.write_text(PASSWORDS["worker"])
    allow(broker_asking.plain, granted(settings, "worker", WORKER))
    async with _producing(settings) as send:
        await send()
        file.write_text("another one")
        await send()  # on the connection that is there
        file.write_text(PASSWORDS["worker"])
        await send(reconnect=True)


async def test_a_token_that_expires_is_replaced_by_the_one_in_the_file(
    broker_asking: Secured, plain: Settings, tmp_path: Path
) -> None:
    """The broker ends a connection whose token has expired; the next one shows the token of that time."""
    life = 3.0
    began = time.time()
    settings = client(plain, broker_asking.token(the_token(broker_asking, tmp_path, life=life)))
    allow(broker_asking.plain, granted(settings, "worker", WORKER))
    async with _producing(settings) as send:
        await send()
        the_token(broker_asking, tmp_path)
        while time.time() < began + life + 1.5:  # until the broker's clock, which is ours, says that it has expired
            await asyncio.sleep(0.1)
        await send()


class _producing:
    """A producer on the worker's weights topic; yields a function that sends a record and waits for the broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Callable[..., Awaitable[None]]:
        self._producer = connection.producer(self._settings, request_timeout_ms=10_000)
        await self._producer.start()
        return self._send

    async def _send(self, reconnect: bool = False) -> None:
        if reconnect:
            for opened in list(self._producer.client._conns.values()):
                opened.close()
        await self._producer.send_and_wait(TopicNames.of(self._settings).weights, b"x", key=b"x")

    async def __aexit__(self, *exc: object) -> None:
        await self._producer.stop()
