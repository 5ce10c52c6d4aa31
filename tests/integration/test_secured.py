"""Workers and commands on a broker that asks who comes, and lets nobody do what was not granted."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AclBinding, AclOperation

from stream import acls, connection, growth, topics_admin
from stream.__main__ import cli
from stream.codecs import encode
from stream.commands.experts_modes import set_mode
from stream.console.live.reader import TopicReader
from stream.console.live.state import Live
from stream.errors import BrokerError, SettingsError, TopicsError, WriteError
from stream.explain.explaining import explain
from stream.following import existing
from stream.records import Opinion, Source, Verdict
from stream.rights import refuse_lacking
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames, contract
from support.acls import allow, allow_nothing, bindings
from support.authority import Authority
from support.broker import Namespace
from support.flow import Flow, label, record_of, turn, unique, votes_of
from support.gateway import gateway, post
from support.kafka import Record, eventually_async, produce
from support.secured import PASSWORDS, Secured, secured
from support.worker_process import WorkerProcess, environment

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        shutil.which("java") is None and not os.environ.get("JAVA_HOME"),
        reason="no Java: this broker is one that tests set up themselves, whatever AEGIS_TEST_BROKER names",
    ),
]
WORKER, PRODUCER = "User:worker", "User:producer"


@pytest.fixture(scope="module")
def broker_asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture(scope="module")
def plain(broker_asking: Secured, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the tests themselves; the topics are made."""
    folder = tmp_path_factory.mktemp("state")
    settings = Namespace.new().settings(broker_asking.plain, partitions=2, data_dir=folder, label_horizon=60.0)
    asyncio.run(topics_admin.create(settings))
    return settings


@pytest.fixture(autouse=True)
def _nothing_granted(broker_asking: Secured) -> Iterator[None]:
    yield
    allow_nothing(broker_asking.plain)


def client(plain: Settings, how: dict[str, Any]) -> Settings:
    """The same topics, reached in another way."""
    return Settings.load(**{**plain.model_dump(exclude_defaults=True), **how})


def granted(settings: Settings, role: acls.Role, principal: str) -> list[AclBinding]:
    """What the command prints for a role."""
    words = ["topics", "acls", "--principal", principal, "--role", role]
    shown = CliRunner(env=environment(settings)).invoke(cli, words)
    assert shown.exit_code == 0, shown.output
    return list(bindings(shown.stdout.splitlines()))


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


async def test_a_role_may_do_its_own_work_and_not_that_of_another(broker_asking: Secured, plain: Settings) -> None:
    settings, names = client(plain, broker_asking.scram()), TopicNames.of(plain)
    allow(broker_asking.plain, granted(settings, "reader", WORKER))
    await produce(broker_asking.plain, names.weights, [Record(b"{}", b"somebody")])
    assert [record.value async for records in existing(settings, names.weights) for record in records]
    with pytest.raises(TopicsError, match=r"does not exist, or this user may not see it"):
        await Sender(settings, names.turns).start()
    refused = await _refused(settings, names.verdicts)
    assert "grant what `aegis topics acls` prints" in refused


async def test_a_gateway_needs_no_more_than_its_own_role(
    broker_asking: Secured, plain: Settings, tmp_path: Path
) -> None:
    """Both ways, with the cheapest expert; the turn waits for a worker that is not there."""
    settings = client(plain, {**broker_asking.scram(), "experts": "lexical", "device": "cpu"})
    allow(broker_asking.plain, granted(settings, "gateway", WORKER))
    with gateway(settings, tmp_path / "log", "--mode", "either", "--timeout", "1") as running:
        address = running.address()
        said = {"turn_id": "t", "conversation_id": "c", "label": "safe", "labelled_at": "2026-01-01T00:00:00Z"}
        assert (await post(address, "/v1/labels", said))[0] == 202
        assert (await post(address, "/v1/moderations", {"input": "Hello"}))[0] == 504
        direct = {"input": "Hello", "aegis": {"mode": "direct"}}

        async def answered() -> bool:
            return (await post(address, "/v1/moderations", direct))[0] == 200

        await eventually_async(answered, awaited="a verdict at once")


async def test_an_analyst_may_explain_a_verdict_and_write_nothing(broker_asking: Secured, plain: Settings) -> None:
    settings, names = client(plain, broker_asking.scram()), TopicNames.of(plain)
    allow(broker_asking.plain, granted(settings, "analyst", WORKER))
    opinion = Opinion("e", "1", 0.25, 1.0, "ok")
    verdict = Verdict(
        "t", "c", "acme", "user", "safe", 0.25, "permissive", {}, (opinion,), "acme/user", 0,
        Source(names.turns, 0, 0), datetime.now(UTC), 5, {},
    )  # fmt: skip
    await produce(broker_asking.plain, names.verdicts, [Record(encode(verdict), b"c")])
    told = await explain(settings, "t")
    assert told.recomputed.agrees
    assert told.taught is not None
    assert "grant what `aegis topics acls` prints" in await _refused(settings, names.labels)


async def test_a_console_follows_all_that_it_shows_with_the_rights_of_its_role(
    broker_asking: Secured, plain: Settings
) -> None:
    settings, names = client(plain, broker_asking.scram()), TopicNames.of(plain)
    allow(broker_asking.plain, granted(settings, "console", WORKER))
    live = Live(settings)
    reader = TopicReader(settings, live.link, live.take, live.looked, live.counted_back)
    following = asyncio.create_task(reader.run())
    try:
        await produce(broker_asking.plain, names.dead_letters, [Record(b"x", b"k")])
        await eventually_async(lambda: live.letters.reasons and live.lag.look, awaited="a dead letter and the lag")
    finally:
        following.cancel()
    assert (live.link.state, len(live.lag.told()["partitions"])) == ("up", settings.partitions)
    assert "grant what `aegis topics acls` prints" in await _refused(settings, names.verdicts)


async def _refused(settings: Settings, topic: str) -> str:
    """What a sender is told of a record that it may not write."""
    sender = await Sender(settings, topic).start()
    try:
        try:
            ((_, reason),) = await sender.send([Outbound(1, b"k", b"v")], lambda count: None)
        except WriteError as error:
            return str(error)
        return reason
    finally:
        await sender.stop()


async def test_an_operator_makes_alters_and_deletes_topics_and_sets_modes(broker_asking: Secured) -> None:
    settings = Namespace.new().settings(**broker_asking.scram("producer"), partitions=1)
    with pytest.raises(TopicsError, match=r"refused a change of topic .*: grant what `aegis topics acls` prints"):
        await topics_admin.create(settings)
    allow(broker_asking.plain, granted(settings, "operator", PRODUCER))
    topics, lines = len(contract(settings)), list[str]()
    assert len(await topics_admin.create(settings)) == topics
    await growth.grow(settings, 2, lines.append)
    assert any("partitions 1 -> 2" in line for line in lines)
    assert "lexical: shadow" in await set_mode(settings, "lexical", "shadow", lambda line: None)
    assert len(await topics_admin.delete(settings)) == topics


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
