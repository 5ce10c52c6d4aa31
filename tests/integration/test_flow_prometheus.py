"""A real Prometheus scrapes a real worker with the configuration and the rules that are shipped."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from stream import broker as embedded
from support.flow import Flow, flowing, label, record_of, turn, unique
from support.kafka import eventually
from support.promql import PROMETHEUS, of_alerts, of_dashboard

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not here: apt install prometheus"
)


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("scraped")
    with flowing(broker, folder, partitions=2, http_port=embedded.free_port()) as flow:
        yield flow


@contextmanager
def prometheus(folder: Path, worker_port: int) -> Iterator[str]:
    """Yields its address. The shipped files, but for where the worker is and how often it is looked at."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{worker_port}"]}]
    shutil.copy(PROMETHEUS / "alerts.yaml", folder)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{embedded.free_port()}"
    command = [
        *("prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"),
        *(f"--web.listen-address={address}", "--enable-feature=exemplar-storage", "--log.level=warn"),
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


def asked(address: str, path: str, **parameters: str) -> Any:
    """The answer of Prometheus's API; None while it does not answer."""
    try:
        with urlopen(f"http://{address}/api/v1/{path}?{urlencode(parameters)}", timeout=10.0) as answer:
            return json.load(answer)["data"]
    except HTTPError as refused:
        if refused.code != 503:
            raise
        return None
    except (URLError, ConnectionError):
        return None


def value(address: str, promql: str) -> float | None:
    """The one value of an expression now; None where there is none."""
    data = asked(address, "query", query=promql)
    return float(data["result"][0]["value"][1]) if data and data["result"] else None


def test_what_is_scraped_answers_every_panel_and_every_alert(flow: Flow, tmp_path: Path) -> None:
    trace_id = uuid.uuid4().hex
    sampled = [("traceparent", f"00-{trace_id}-{'1' * 16}-01".encode())]
    turn_id = unique("scraped")
    asyncio.run(flow.send(flow.names.turns, record_of(turn(turn_id), headers=sampled)))
    asyncio.run(flow.verdicts(turn_id))
    asyncio.run(flow.labels(label(turn_id)))
    asyncio.run(flow.weights("default/user", lambda weights: weights.rounds == 1))
    with prometheus(tmp_path, flow.settings.http_port) as address:
        eventually(lambda: value(address, 'up{job="aegis"}') == 1.0, awaited="a scrape")
        eventually(lambda: value(address, "aegis_ready") == 1.0, awaited="aegis_ready")
        assert value(address, "sum(aegis_verdicts_total)") == 1.0
        assert value(address, 'aegis_labels_total{outcome="learned"}') == 1.0
        assert value(address, 'aegis_rounds{role="user"}') == 1.0
        assert value(address, "sum(aegis_lag_records)") == 0.0
        assert value(address, "aegis_partitions - aegis_partitions_owned") == 0.0
        assert value(address, "aegis_label_delay_seconds_count") == 1.0
        assert value(address, "aegis_state_disk_free_bytes > 0") is not None
        weights = asked(address, "query", query='sum(aegis_expert_weight{role="user"})')["result"]
        assert float(weights[0]["value"][1]) == pytest.approx(1.0)
        for expression in (*of_alerts(), *of_dashboard()):
            assert asked(address, "query", query=expression.promql) is not None, expression
        found = eventually(lambda: exemplars(address), awaited="exemplars")
        assert {each["labels"]["trace_id"] for each in found} == {trace_id}
        rules = [rule for group in asked(address, "rules")["groups"] for rule in group["rules"]]
        eventually(lambda: unwell(address) == [], awaited="every rule evaluated without an error")
        assert len(rules) == len(of_alerts())


def exemplars(address: str) -> list[dict[str, Any]]:
    now = value(address, "vector(time())") or 0.0
    times = {"start": str(now - 600), "end": str(now + 60)}
    found = asked(address, "query_exemplars", query="aegis_latency_seconds_bucket", **times)
    return [each for series in found or () for each in series["exemplars"]]


def unwell(address: str) -> list[str]:
    """Rules that were not evaluated yet, or with an error."""
    rules = [rule for group in asked(address, "rules")["groups"] for rule in group["rules"]]
    return [rule["name"] for rule in rules if rule["health"] != "ok"]
