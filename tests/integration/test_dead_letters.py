"""`aegis dead-letters` over topics without a worker: what is listed, shown and sent, whatever the letters hold."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from click.testing import CliRunner, Result

from stream.__main__ import cli
from stream.dead_letters import DETAIL, OFFSET, PARTITION, REASON, REPLAYED, REPLAYS, TOPIC
from stream.routing import FIRST, STAMP, TRIED, TRIES
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import label, record_of, turn
from support.hostile import with_header_name, with_nothing
from support.kafka import Record, end_offsets, eventually, produce
from support.logs import read_all
from support.worker_process import ROOT, environment

SECRET = "a-secret-canary"


def run(settings: Settings, *arguments: str, text: bytes | None = None) -> Result:
    return CliRunner(env=environment(settings)).invoke(cli, ["dead-letters", *arguments], input=text)


def letter(settings: Settings, topic: str, value: bytes | None, reason: str = "not_json", **more: Any) -> Record:
    """As the worker writes it; `topic` is a short name, or any."""
    name = getattr(TopicNames.of(settings), topic, topic)
    about = [(REASON, reason.encode()), (DETAIL, b"why"), (TOPIC, name.encode())]
    place = [(PARTITION, b"%d" % more.pop("source", 1)), (OFFSET, b"%d" % more.pop("offset", 7))]
    return Record(value, more.pop("key", b"c1"), [*more.pop("headers", ()), *about, *place], **{"partition": 0, **more})


def put(settings: Settings, *records: Record) -> None:
    asyncio.run(produce(settings.broker, TopicNames.of(settings).dead_letters, records))


def sent(settings: Settings, topic: str) -> list[Any]:
    return asyncio.run(read_all(settings.broker, getattr(TopicNames.of(settings), topic)))


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def good_turn(name: str) -> bytes:
    return record_of(turn(name, sent_at=datetime(2026, 1, 1, tzinfo=UTC))).value or b""


def test_filters_choose_by_reason_source_time_and_number(topics: Settings) -> None:
    old = int((datetime.now(UTC) - timedelta(hours=3)).timestamp() * 1000)
    put(
        topics,
        letter(topics, "turns", b"0", "not_json", timestamp_ms=old),
        letter(topics, "turns", b"1", "empty", source=2, offset=5),
        letter(topics, "labels", b"2", "turn_not_found"),
        letter(topics, "labels", b"3", "not_json"),
    )
    chosen = {
        (): [0, 1, 2, 3],
        ("--reason", "not_json"): [0, 3],
        ("--reason", "not_json", "--reason", "empty"): [0, 1, 3],
        ("--source", "labels"): [2, 3],
        ("--source", "turns:2"): [1],
        ("--source", "turns:2:5"): [1],
        ("--source", "turns:2:6"): [],
        ("--source", TopicNames.of(topics).turns, "--source", "labels", "--reason", "not_json"): [0, 3],
        ("--since", "2h"): [1, 2, 3],
        ("--until", "2h"): [0],
        ("--since", "2h", "--limit", "2"): [1, 2],
        ("--since", "9999-12-31T23:59:59-14:00"): [],
        ("--until", "0001-01-01T00:00:00+14:00"): [],
    }
    for options, places in chosen.items():
        assert [told["place"] for told in lines(run(topics, "list", "--json", *options))] == [f"0:{n}" for n in places]
    counts = lines(run(topics, "list", "--json", "--count", "--source", "labels"))
    assert sorted(counts, key=str) == [
        {"reason": reason, "source": TopicNames.of(topics).labels, "count": 1}
        for reason in ("not_json", "turn_not_found")
    ]
    assert "turn_not_found" in run(topics, "list", "--count").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "--all", "0:1"],
        ["replay", "--all", "--value", "-"],
        ["replay", "1"],
        ["replay", "0:٣"],
        ["list", "--since", "yesterday"],
        ["list", "--since", "2026-01-01T00:00:00"],
        ["list", "--source", "turns:x"],
        ["show", "0:1", "--bytes", "--text"],
    ],
)
def test_what_is_asked_for_wrongly_is_refused_before_anything_is_sent(topics: Settings, arguments: list[str]) -> None:
    result = run(topics, *arguments)
    assert (result.exit_code, "Error: " in result.stderr) == (2, True)


def test_a_list_never_shows_the_message_and_show_does_only_when_asked(topics: Settings) -> None:
    value = f"{SECRET}\x1b[2J\n\u202eé".encode() + b"\xff"
    put(topics, letter(topics, "turns", value, headers=[("trace", b"\xff\x00"), ("none", b"")]))
    for arguments in (["list"], ["list", "--json"], ["list", "--count"], ["show", "0:0"]):
        result = run(topics, *arguments)
        assert (result.exit_code, SECRET in result.output) == (0, False)
    assert run(topics, "show", "0:0", "--bytes").stdout_bytes == value
    text = run(topics, "show", "0:0", "--text").stdout
    assert text.splitlines()[-1] == SECRET + r"\x1b[2J\n\u202eé\xff"
    assert r"\xff\x00" in text


def test_a_message_goes_back_to_its_topic_with_its_key_and_its_own_headers_and_is_counted(topics: Settings) -> None:
    value, name = good_turn("t1"), TopicNames.of(topics)
    own = [("trace", b"\x00"), (REASON, b"forged"), (REPLAYED, b"0:9"), (REPLAYS, b"4"), (TRIED, b"1,2")]
    put(topics, letter(topics, "turns", value, "text_too_large", headers=own, source=2))
    for number in (1, 2):  # sent twice: the same again
        result = run(topics, "replay", "--reason", "text_too_large")
        assert (result.exit_code, result.stdout) == (0, f"1 dead letters sent again: 1 to {name.turns}\n")
        records = sent(topics, "turns")
        assert len(records) == number
        assert (records[-1].key, records[-1].value) == (b"c1", value)
        assert records[-1].headers == (("trace", b"\x00"), (REPLAYED, b"0:0"), (REPLAYS, b"5"))
        assert records[-1].partition == (murmur2(b"c1") & 0x7FFFFFFF) % topics.partitions
    assert sent(topics, "labels") == []


def test_a_label_that_was_searched_for_begins_anew_and_keeps_the_time_at_which_it_first_came(topics: Settings) -> None:
    value = record_of(label("t1")).value
    journey = [(TRIED, b"0,1,2,3"), (FIRST, b"1000"), (TRIES, b"9"), (STAMP, b"1234")]
    put(topics, letter(topics, "labels", value, "turn_not_found", headers=journey, timestamp_ms=99_000))
    put(topics, letter(topics, "labels", value, "turn_not_found", timestamp_ms=99_000))
    assert run(topics, "replay", "0:0", "0:1").exit_code == 0
    first, second = (dict(record.headers) for record in sent(topics, "labels"))
    assert first == {REPLAYED: b"0:0", REPLAYS: b"1", STAMP: b"1234"}
    assert second == {REPLAYED: b"0:1", REPLAYS: b"1", STAMP: b"99000"}


def test_a_mended_message_goes_under_its_conversation_and_one_that_is_still_wrong_is_not_sent(
    topics: Settings, tmp_path: Path
) -> None:
    put(topics, letter(topics, "turns", b"{" + SECRET.encode(), key=None))
    result = run(topics, "replay", "0:0", "--value", "-", text=b'{"turn_id": "t"}')
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "missing required field" in result.stderr
    (tmp_path / "mended.json").write_bytes(good_turn("t1") + b"\n")
    assert run(topics, "replay", "0:0", "--value", str(tmp_path / "mended.json")).exit_code == 0
    (record,) = sent(topics, "turns")
    assert (record.key, record.value) == (b"c-t1", good_turn("t1"))


def test_where_a_client_with_another_hash_sent_it_it_goes_again_and_without_a_key_to_its_own_partition(
    topics: Settings,
) -> None:
    import zlib

    key = next(b"%d" % n for n in range(100) if zlib.crc32(b"%d" % n) % 4 != (murmur2(b"%d" % n) & 0x7FFFFFFF) % 4)
    theirs = zlib.crc32(key) % 4
    put(
        topics, letter(topics, "turns", b"{", key=key, source=theirs), letter(topics, "turns", b"{", key=None, source=3)
    )
    assert run(topics, "replay", "--all").exit_code == 0
    assert sorted((record.key or b"", record.partition) for record in sent(topics, "turns")) == [
        (b"", 3),
        (key, theirs),
    ]


def test_what_cannot_be_sent_is_one_line_each_and_the_others_go(topics: Settings) -> None:
    put(
        topics,
        letter(topics, f"some.{SECRET}", b"0"),
        letter(topics, "verdicts", b"1"),
        letter(topics, "turns", b"", key=b""),
        letter(topics, "turns", good_turn("t1")),
    )
    result = run(topics, "replay", "--all")
    assert [line.split(" ")[0] for line in result.stderr.splitlines()] == ["0:0:", "0:1:", "Error:"]
    assert (result.exit_code, SECRET in result.stderr) == (1, False)
    assert len(sent(topics, "turns")) == 2
    assert sent(topics, "verdicts") == []


def test_a_place_that_is_not_there_or_has_expired_and_no_match_are_one_line(topics: Settings) -> None:
    put(topics, *(letter(topics, "turns", b"x") for _ in range(3)))
    asyncio.run(delete_before(topics, 2))
    refused = {
        "0:3": "there is no dead letter at 0:3",
        "9:0": "there is no dead letter at 9:0",
        "0:1": "the dead letter at 0:1 has expired",
    }
    for place, why in refused.items():
        for command in (["show"], ["replay", "0:2"]):
            result = run(topics, *command, place)
            assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
            assert result.stderr.startswith(f"Error: {why}")
    result = run(topics, "replay", "--reason", "no_such_reason")
    assert (result.exit_code, result.stderr.startswith("Error: no dead letter matches")) == (1, True)
    assert sent(topics, "turns") == []


async def delete_before(settings: Settings, offset: int) -> None:
    """As retention does."""
    from aiokafka import TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        tp = TopicPartition(TopicNames.of(settings).dead_letters, 0)
        await admin.delete_records({tp: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


def test_a_dry_run_says_what_would_go_and_sends_nothing(topics: Settings) -> None:
    put(topics, letter(topics, "turns", good_turn("t1")), letter(topics, "elsewhere", b"x"))
    result = run(topics, "replay", "--all", "--dry-run")
    assert result.stdout.splitlines()[-1] == "1 of 2 dead letters would be sent again; nothing was sent"
    assert sent(topics, "turns") == []


HOSTILE_HEADERS: list[tuple[str, Any]] = [
    *[("many", b"x")] * 5_000,
    (REASON, b"\xff" * 100_000),
    (DETAIL, None),
    (TOPIC, b"[bold]\x1b[2J\x00"),
    (PARTITION, b"9" * 5000),
    (OFFSET, "٣".encode()),
    (REPLAYS, b"-1"),
    (REPLAYED, b"\xff"),
    ("\x1b]0;title\x07[/red]", b"\n\r"),
]


def test_a_hostile_letter_crashes_no_command(topics: Settings) -> None:
    put(topics, Record(b"\xff" * 1_000_000, b"\xff" * 1000, HOSTILE_HEADERS, partition=0))
    asyncio.run(with_nothing(topics.broker, TopicNames.of(topics).dead_letters, 0))
    put(topics, Record(b"", b"", HOSTILE_HEADERS[-1:], partition=0))
    asyncio.run(with_header_name(topics.broker, TopicNames.of(topics).dead_letters, b"\xff\xfe\xc3(\x1b[", partition=0))
    told = lines(run(topics, "list", "--json"))
    assert [(one["partition"], one["offset"], one["replays"]) for one in told] == [(-1, -1, 0)] * 4
    for arguments in (["list"], ["list", "--count"], ["show", "0:0"], ["show", "0:0", "--text"], ["show", "0:3"]):
        result = run(topics, *arguments)
        assert (result.exit_code, "\x1b" in result.output) == (0, False), result.exception
    tail = CliRunner(env=environment(topics)).invoke(cli, ["tail", "dead-letters", "--no-follow"])
    assert (tail.exit_code, len(tail.stdout.splitlines())) == (0, 4)
    result = run(topics, "replay", "--all")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 5)


def test_ctrl_c_in_the_middle_says_what_was_sent(topics: Settings) -> None:
    count = 1_000
    put(topics, *(letter(topics, "turns", b"x" * 20_000, partition=n % 4) for n in range(count)))
    command = [sys.executable, "-m", "stream", "dead-letters", "replay", "--all"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(topics), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        name = TopicNames.of(topics).turns
        eventually(lambda: sum(asyncio.run(end_offsets(topics.broker, name)).values()) > 0, awaited="the first")
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    there = sum(asyncio.run(end_offsets(topics.broker, name)).values())
    if process.returncode == 0:  # it had ended already
        assert there == count
        return
    assert (process.returncode, output) == (130, b"")
    assert errors.decode().splitlines()[-1].startswith(f"interrupted: {there:,} dead letters sent again: {there:,} to ")
