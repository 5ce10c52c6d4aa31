"""The demonstration: publishes the script, watches what comes back, and tells of it while it runs and at the end."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stream import connection
from stream.dead_letters import REASON
from stream.demo.report import ReportData, render
from stream.demo.screen import Screen
from stream.demo.script import Event, LabelEvent, TurnEvent, load, script, stamp
from stream.demo.stage import stage
from stream.report.contexts import WeightsPoint
from stream.settings import Settings
from stream.topics import TopicNames

SEED = 20240408
TAIL_SECONDS = 40.0
"""After the last event, for what is still under way."""
BAD_MESSAGES = (b"this is not JSON", b'{"turn_id":"demo-bad","conversation_id":"demo-bad","role":"user"}')
"""So that a dead letter is seen, too: two turns that no worker can use."""


@dataclass
class Seen:
    """What came back, and what must."""

    turns: set[str]
    labelled: set[str]
    started: float = 0.0
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: list[WeightsPoint] = field(default_factory=list)
    letters: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    different: int = 0

    @property
    def learned(self) -> int:
        return sum(int(weights["rounds"]) for weights in self.weights.values())

    @property
    def complete(self) -> bool:
        return (
            self.turns <= set(self.verdicts)
            and self.learned == len(self.labelled)
            and sum(self.letters.values()) == len(BAD_MESSAGES)
        )


@dataclass(frozen=True)
class Outcome:
    """How a run ended: did all that must come back come back, what happened (what, figure), and where to look next."""

    complete: bool
    facts: list[tuple[str, str]]
    where_next: list[tuple[str, str]]


async def run(screen: Screen, seconds: float, report: Path) -> Outcome:
    """Run the demonstration of `seconds` seconds and write its page."""
    events = script(load(), SEED, seconds)
    seen = Seen(
        {event.turn["turn_id"] for event in events if isinstance(event, TurnEvent)},
        {event.label["turn_id"] for event in events if isinstance(event, LabelEvent)},
    )
    async with stage(screen.note) as settings:
        started = datetime.now(UTC)
        seen.started = time.monotonic()
        watching = asyncio.create_task(_watch(settings, seen, screen))
        try:
            await _publish(settings, events, started, screen, seen)
            await _rest(seen, watching)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    page = await asyncio.to_thread(_write_report, report, settings, events, seen, started)
    return Outcome(seen.complete and not seen.different, _summary(seen), _where_next(settings, page))


async def _publish(settings: Settings, events: Sequence[Event], start: datetime, screen: Screen, seen: Seen) -> None:
    names = TopicNames.of(settings)
    async with connection.producer(settings) as producer:
        bad = dict(zip((len(events) // 3, 2 * len(events) // 3), BAD_MESSAGES, strict=True))
        for number, event in enumerate(events):
            await asyncio.sleep(max(0.0, event.at - (time.monotonic() - seen.started)))
            record = stamp(event, start)
            topic = names.turns if isinstance(event, TurnEvent) else names.labels
            await producer.send(topic, json.dumps(record).encode(), key=record["conversation_id"].encode())
            _show(event, record, screen, seen)
            screen.progress((number + 1) / len(events))
            if number in bad:
                await producer.send(names.turns, bad[number])


def _show(event: Event, record: dict[str, Any], screen: Screen, seen: Seen) -> None:
    if isinstance(event, TurnEvent):
        screen.turn(record)
    else:
        seen.labels[event.kind] += 1
        screen.label(event.kind, record)


async def _rest(seen: Seen, watching: "asyncio.Task[None]") -> None:
    """Wait for what is under way."""
    end = time.monotonic() + TAIL_SECONDS
    while not seen.complete and time.monotonic() < end and not watching.done():
        await asyncio.sleep(0.1)
    if watching.done():
        watching.result()


async def _watch(settings: Settings, seen: Seen, screen: Screen) -> None:
    names = TopicNames.of(settings)
    topics = (names.verdicts, names.weights, names.dead_letters)
    async with connection.consumer(settings, *topics, auto_offset_reset="earliest") as consumer:
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if tp.topic == names.verdicts:
                        _take_verdict(json.loads(record.value), seen, screen)
                    elif tp.topic == names.weights:
                        _take_weights(json.loads(record.value), seen, screen)
                    else:
                        _take_letter(record, seen, screen)


def _take_verdict(verdict: dict[str, Any], seen: Seen, screen: Screen) -> None:
    before = seen.verdicts.setdefault(verdict["turn_id"], verdict)
    seen.different += before != verdict
    screen.verdict(verdict)


def _take_weights(weights: dict[str, Any], seen: Seen, screen: Screen) -> None:
    seen.weights[weights["context"]] = weights
    experts = {expert["id"]: expert for expert in weights["experts"]}
    seen.points.append(
        WeightsPoint(
            context=weights["context"],
            at=time.monotonic() - seen.started,
            rounds=weights["rounds"],
            weights={name: expert["weight"] for name, expert in experts.items()},
            regret={name: expert["regret"] for name, expert in experts.items()},
            bound=_number(weights["bound"]),
            loss={name: expert["loss"] for name, expert in experts.items()},
            ensemble_loss=weights["ensemble_loss"],
            policy=weights["policy"],
            alarm=weights["alarm"],
        )
    )
    screen.weights(weights)


def _take_letter(record: Any, seen: Seen, screen: Screen) -> None:
    reason = dict(record.headers)[REASON].decode()
    seen.letters[reason] += 1
    screen.dead_letter(reason)


def _number(value: float | None) -> float:
    return float("inf") if value is None else value


def _write_report(page: Path, settings: Settings, events: Sequence[Event], seen: Seen, started: datetime) -> Path:
    sent = {event.turn["turn_id"]: event.at for event in events if isinstance(event, TurnEvent)}
    labels = [event for event in events if isinstance(event, LabelEvent)]
    truth = {turn["turn_id"]: turn["label"] for conversation in load() for turn in conversation["turns"]}
    verdicts: dict[str, Counter[str]] = {}
    for verdict in seen.verdicts.values():
        verdicts.setdefault(verdict["context"], Counter())[verdict["label"]] += 1
    data = ReportData(
        title="Aegis Stream: a demonstration",
        started=started.strftime("%Y-%m-%d %H:%M UTC"),
        seconds=time.monotonic() - seen.started,
        turns=len(seen.turns),
        points=seen.points,
        judged=[
            (verdict["score"], truth[turn_id])
            for turn_id, verdict in seen.verdicts.items()
            if turn_id in seen.labelled and verdict["score"] is not None
        ],
        verdicts=verdicts,
        labels=seen.labels,
        dead_letters=seen.letters,
        delays=[max(0.0, event.at - sent[event.label["turn_id"]]) for event in labels],
        latencies=[verdict["latency_ms"] for verdict in seen.verdicts.values()],
        where_next=_where_next(settings, page),
    )
    page.write_text(render(data), encoding="utf-8")
    return page


def _summary(seen: Seen) -> list[tuple[str, str]]:
    latencies = sorted(verdict["latency_ms"] for verdict in seen.verdicts.values())
    middle = f"{latencies[len(latencies) // 2]} ms" if latencies else "none"
    slowest = f"{latencies[int(len(latencies) * 0.99)]} ms" if latencies else "none"
    mix = Counter(verdict["label"] for verdict in seen.verdicts.values())
    return [
        ("turns published", str(len(seen.turns))),
        ("turns with a verdict", f"{len(seen.turns & set(seen.verdicts))}, {seen.different} with two different ones"),
        ("verdicts", _counts(mix)),
        ("broker to decision", f"median {middle}, p99 {slowest}"),
        ("labels sent", _counts(seen.labels)),
        ("labelled turns learned", f"{seen.learned} of {len(seen.labelled)}, each once"),
        ("dead letters", _counts(seen.letters)),
    ]


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"


def _where_next(settings: Settings, page: Path) -> list[tuple[str, str]]:
    """(command or address, what is to be seen there)."""
    these, start = f"AEGIS_TOPIC_PREFIX={settings.topic_prefix}", "aegis broker start"
    if settings.broker != Settings.model_fields["broker"].default:
        these = f"AEGIS_BROKER={settings.broker} {these}"
        start = f"{start} --port {settings.broker.rpartition(':')[2]}"
    return [
        (page.resolve().as_uri(), "the plots of this run"),
        (start, "the same broker again, with what this run left in it"),
        (f"{these} aegis tail verdicts --from-beginning", "every verdict of this run"),
        (f"{these} aegis tail weights --from-beginning", "how the weights moved"),
        ("aegis worker --help", "run one on your own topics"),
    ]
