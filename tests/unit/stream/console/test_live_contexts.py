"""The list of contexts, alarms, standings, lag and what is said of the whole. Without a broker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from stream.codecs import encode
from stream.console.live import contexts as of_contexts
from stream.console.live.alarms import Alarms
from stream.console.live.assessment import Figures, assess
from stream.console.live.contexts import COLUMNS, Contexts, detail
from stream.console.live.costs import Costs, sums
from stream.console.live.lag import Lag, Look
from stream.console.live.standings import Standings
from stream.console.live.wire import SeenVerdict
from stream.records import Departure, Standing, Weights
from support.served import served

NOW = 1_800_000_000.0


def verdict(context: str, label: Any = "safe") -> SeenVerdict:
    return SeenVerdict("t", context, "permissive", label, 0.1, (), 5)


def weights(context: str, rounds: int = 10, regret: float = 1.0, at: float = NOW, **fields: Any) -> Weights:
    experts = (Standing("a@1", 0.7, 3.0, regret), Standing("b@2", 0.3, 6.0, -2.0))
    when = datetime.fromtimestamp(at, UTC)
    common: dict[str, Any] = {"alarm": False, **fields}
    return Weights(context, "permissive", rounds, 0, when, experts, 4.0, 4.0, 0.0, **common)


def learned(contexts: Contexts, told: Weights) -> None:
    contexts.learned(told, encode(told))


def names(contexts: Contexts, query: str = "", sort: str = "name", offset: int = 0, limit: int = 100) -> list[str]:
    return [row[0] for row in contexts.page(query, sort, offset, limit, NOW)[1]]


def test_a_context_is_there_from_its_first_verdict() -> None:
    contexts = Contexts()
    contexts.decided(verdict("acme/user", "unsafe"), NOW)
    contexts.decided(verdict("acme/user"), NOW)
    [row] = contexts.page("", "name", 0, 10, NOW)[1]
    told = dict(zip(COLUMNS, row, strict=True))
    assert told["verdicts"] == 2
    assert told["unsafe"] == 1
    assert told["rounds"] == 0
    assert told["loss"] is None
    assert told["rate"] == pytest.approx(2 / 60, abs=1e-3)


def test_the_list_is_filtered_sorted_and_cut_on_the_server() -> None:
    contexts = Contexts()
    for number in range(30):
        learned(contexts, weights(f"tenant-{number:02}/user", rounds=number, regret=float(number % 7)))
    assert names(contexts, "TENANT-0") == [f"tenant-0{digit}/user" for digit in range(10)]
    assert names(contexts, sort="-rounds", limit=3) == [f"tenant-{number}/user" for number in (29, 28, 27)]
    assert names(contexts, offset=28) == ["tenant-28/user", "tenant-29/user"]
    assert {row[7] for row in contexts.page("", "-ratio", 0, 4, NOW)[1]} == {6.0}
    with pytest.raises(KeyError):
        contexts.page("", "colour", 0, 10, NOW)


def test_alarms_come_first_when_attention_is_asked_for() -> None:
    contexts = Contexts()
    learned(contexts, weights("a/user", rounds=1000))
    learned(contexts, weights("b/user", drift=(Departure("a@1", 60.0, 0.9, 0.1),)))
    learned(contexts, weights("c/user", alarm=True))
    assert names(contexts, sort="-attention") == ["c/user", "b/user", "a/user"]


def test_contexts_without_end_push_out_those_used_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_contexts, "MOST", 3)
    gone: list[str] = []
    contexts = Contexts(lambda context: gone.append(context.name))
    for name in ("a", "b", "c", "a", "d"):
        contexts.decided(verdict(f"{name}/user"), NOW)
    assert names(contexts) == ["a/user", "c/user", "d/user"]
    assert gone == ["b/user"]
    assert contexts.dropped == 1


def test_traffic_of_long_ago_fades() -> None:
    contexts = Contexts()
    contexts.decided(verdict("a/user"), NOW)
    [context] = contexts.known.values()
    assert context.rate(NOW) > 10 * context.rate(NOW + 300)


def test_one_context_is_told_with_all_that_was_published_of_it() -> None:
    contexts = Contexts()
    told = weights("acme/user")
    learned(contexts, told)
    found = detail(contexts.known["acme/user"], NOW)
    assert found["told"] == told
    assert found["loss"] == pytest.approx(0.4)
    assert found["history"]["experts"] == {"a@1": [pytest.approx(0.7)], "b@2": [pytest.approx(0.3)]}
    assert found["leader"] == "a@1"


def test_an_alarm_lasts_from_when_it_was_told_first_and_is_then_over() -> None:
    alarms = Alarms()
    alarms.look(weights("a/user", alarm=True, at=NOW))
    alarms.look(weights("a/user", alarm=True, at=NOW + 5))
    [lasting] = alarms.told()["lasting"]
    assert (lasting["kind"], lasting["about"], lasting["since"]) == ("regret", "a@1", NOW)
    alarms.look(weights("a/user", at=NOW + 9))
    told = alarms.told()
    assert told["count"] == 0
    assert told["ended"][0]["until"] == NOW + 9
    assert alarms.count("regret") == 0


def test_drift_is_told_by_its_direction() -> None:
    alarms = Alarms()
    drift = (Departure("a@1", 60.0, 0.9, 0.1), Departure("b@2", 60.0, 0.05, 0.1), Departure("a@1", 600.0, 0.5, 0.1))
    alarms.look(weights("a/user", drift=drift))
    assert [(one["kind"], one["about"]) for one in alarms.told()["lasting"]] == [("worse", "a@1"), ("better", "b@2")]
    assert (alarms.count("worse"), alarms.count("better")) == (1, 1)
    alarms.forget("a/user")
    assert alarms.told()["count"] == 0


def test_standings_are_those_of_the_newest_records() -> None:
    standings = Standings()
    first, second = weights("a/user", rounds=10), weights("a/user", rounds=20, regret=3.0)
    standings.replace(None, first)
    standings.replace(first, second)
    standings.replace(None, weights("b/user", rounds=10))
    told = standings.told()
    assert told["a"] == {"loss": 0.2, "regret": 4.0, "contexts": 2}
    standings.replace(second, None)
    assert standings.told()["a"]["contexts"] == 1


def look(at: float, behind: int = 0, owners: dict[int, str] | None = None) -> Look:
    owned = {0: "w1", 1: "w1"} if owners is None else owners
    workers = tuple({(name, "host") for name in owned.values()})
    return Look(at, {0: 100, 1: 50}, {1: 10}, {0: 100 - behind}, {0: 5}, {}, {0: 3}, owned, workers, "Stable")


def test_lag_is_what_lies_behind_the_committed_offset_or_all_that_is_there() -> None:
    lag = Lag()
    lag.take(look(NOW, 30, {0: "w1"}))
    assert lag.turns == 30 + 40
    assert lag.labels == 2
    assert lag.unowned == 1
    rows = lag.told()["partitions"]
    assert [(row["partition"], row["turns"], row["owner"]) for row in rows] == [(0, 30, "w1"), (1, 40, None)]


def test_lag_grows_when_every_look_says_so() -> None:
    lag = Lag()
    for step in range(15):
        lag.take(look(NOW + 2 * step, 3 * step))
    assert lag.growing(20.0)
    lag.take(look(NOW + 30, 3))
    assert not lag.growing(20.0)


def figures(**fields: Any) -> Figures:
    well: dict[str, Any] = {
        "broker": "up", "reason": "", "workers": 2, "unowned": 0, "waiting": 3, "pace": 10.0, "growing": False,
        "p99": 200.0, "experts": {}, "letters": 0.0, "inputs": 3000.0, "unscored": 0.0, "regret_alarms": 0, "worse": 0,
    }  # fmt: skip
    return Figures(**{**well, **fields})


def expert(timeout: float = 0.0, error: float = 0.0, turns: int = 1000) -> dict[str, Any]:
    return {"turns": turns, "timeout": timeout, "error": error}


def test_nothing_is_said_of_a_healthy_stream() -> None:
    assert assess(figures(experts={"a": expert()})) == []


@pytest.mark.parametrize(
    ("fields", "level", "about"),
    [
        ({"broker": "down", "reason": "gone"}, "bad", "broker"),
        ({"broker": "no topics", "reason": "make them"}, "bad", "broker"),
        ({"workers": 0}, "bad", "partitions"),
        ({"workers": 0, "waiting": 0}, "warn", "partitions"),
        ({"unowned": 1}, "bad", "partitions"),
        ({"waiting": 200}, "warn", "partitions"),
        ({"waiting": 10_000}, "bad", "partitions"),
        ({"waiting": 100, "pace": 0.0}, "bad", "partitions"),
        ({"p99": 3_000.0}, "warn", "latency"),
        ({"p99": 30_000.0}, "bad", "latency"),
        ({"regret_alarms": 1}, "bad", "alarms"),
        ({"worse": 2}, "warn", "alarms"),
        ({"experts": {"a": expert(timeout=0.1)}}, "warn", "experts"),
        ({"experts": {"a": expert(error=0.9)}}, "bad", "experts"),
        ({"unscored": 2.0}, "warn", "experts"),
        ({"letters": 10.0}, "warn", "letters"),
        ({"letters": 1000.0}, "bad", "letters"),
    ],
)
def test_each_trouble_is_one_finding(fields: dict[str, Any], level: str, about: str) -> None:
    [finding] = assess(figures(**fields))
    assert (finding.level, finding.about) == (level, about)
    assert "\n" not in finding.text


def test_the_worst_is_said_first() -> None:
    found = assess(figures(p99=3_000.0, regret_alarms=1, letters=10.0))
    assert [finding.level for finding in found] == ["bad", "warn", "warn"]


def test_an_expert_that_was_hardly_asked_is_not_judged() -> None:
    assert assess(figures(experts={"a": expert(timeout=1.0, turns=3)})) == []


def test_what_experts_cost_is_read_from_a_workers_metrics() -> None:
    text = """# TYPE aegis_expert_seconds histogram
aegis_expert_seconds_bucket{expert="lexical",le="+Inf"} 4.0
aegis_expert_seconds_sum{expert="lexical"} 0.5
aegis_expert_seconds_count{expert="lexical"} 4.0
aegis_other_total 3.0
"""
    assert sums(text) == {"lexical": (0.5, 4.0)}


async def test_the_cost_of_an_expert_is_that_between_two_readings_of_all_workers() -> None:
    spent = [(1.0, 10.0), (1.6, 12.0), (0.2, 4.0)]  # seconds, batches; the worker begins anew at the end

    async def metrics(request: web.Request) -> web.Response:
        seconds, batches = spent.pop(0)
        name = "aegis_expert_seconds"
        lines = [f"# TYPE {name} histogram", f'{name}_bucket{{expert="a",le="+Inf"}} {batches}']
        lines += [f'{name}_sum{{expert="a"}} {seconds}', f'{name}_count{{expert="a"}} {batches}', ""]
        return web.Response(text="\n".join(lines))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with served(app) as client:
        costs = Costs([str(client._build_url("/metrics")), "http://127.0.0.1:9/metrics"])
        await costs.read(client)
        assert costs.seconds == {"a": pytest.approx(0.1)}
        await costs.read(client)
        assert costs.seconds == {"a": pytest.approx(0.3)}
        await costs.read(client)
        assert costs.seconds == {"a": pytest.approx(0.05)}
