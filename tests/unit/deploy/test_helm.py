"""The chart: Kubernetes, KEDA and the Prometheus operator take what it makes, and what cannot work is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream import broker_jars
from stream.settings import PREFIX, Settings
from support import kubernetes

CHART: Final = broker_jars.ROOT / "deploy" / "helm" / "aegis"
BROKER: Final = {"kafka": {"bootstrapServers": "kafka:9092"}}
SECURED: Final = {
    "kafka": {
        "bootstrapServers": "kafka:9093",
        "securityProtocol": "sasl_ssl",
        "sasl": {"mechanism": "SCRAM-SHA-512", "secretName": "user"},
        "tls": {"secretName": "authority", "clientCertificate": True},
    },
    "access": {"userHeader": "X-User", "trustedProxies": ["10.0.0.0/8"], "tokensSecret": "tokens"},
    "console": {"enabled": True, "ingress": {"enabled": True, "host": "console.example.org", "tlsSecret": "of-host"}},
    "gateway": {"enabled": True, "ingress": {"enabled": True, "host": "gateway.example.org"}},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True, "runbookUrl": "https://example.org/runbook.md"},
    "networkPolicy": {"egressTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    "settings": {"AEGIS_POLICY": "defensive"},
    "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    "experts": {"existingClaim": "experts"},
}
WAYS: Final[dict[str, dict[str, Any]]] = {
    "as it comes": BROKER,
    "with everything, scaled by lag": {**SECURED, "keda": {"enabled": True}},
    "on disks of their own, static": {**SECURED, "persistence": {"enabled": True, "staticMembers": True}},
    "on GPUs": {**BROKER, "gpu": {"enabled": True, "runtimeClassName": "nvidia"}, "keda": {"enabled": True}},
}
Objects = list[dict[str, Any]]

pytestmark = pytest.mark.skipif(kubernetes.missing() is not None, reason=str(kubernetes.missing()))


def template(tmp_path: Path, values: dict[str, Any]) -> tuple[str, str]:
    """What helm prints, and what it complains of."""
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    version = ("--kube-version", kubernetes.KUBERNETES)
    done = kubernetes.run("helm", "template", "site", CHART, "--values", tmp_path / "values.yaml", *version)
    # helm tells of the link to the alerts, which it follows.
    complaint = "".join(line for line in done.stderr.splitlines(keepends=True) if "found symbolic link" not in line)
    return done.stdout, complaint


def objects(tmp_path: Path, values: dict[str, Any]) -> Objects:
    made, complaint = template(tmp_path, values)
    assert not complaint, complaint
    return [found for found in yaml.safe_load_all(made) if found]


def of(made: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in made if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_the_chart_makes_is_valid(tmp_path: Path, way: str) -> None:
    made, complaint = template(tmp_path, WAYS[way])
    assert not complaint, complaint
    place = f"{kubernetes.FOLDER / 'schemas'}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = kubernetes.run("kubeconform", "-strict", "-summary", "-schema-location", place, stdin=made)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout


def test_the_schemas_refuse_what_is_wrong(tmp_path: Path) -> None:
    made, _ = template(tmp_path, BROKER)
    place = f"{kubernetes.FOLDER / 'schemas'}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    for right, wrong in (("clusterIP: None", "clusterIp: None"), ("replicas: 2", "replicas: two")):
        assert right in made
        done = kubernetes.run("kubeconform", "-strict", "-schema-location", place, stdin=made.replace(right, wrong))
        assert done.returncode != 0, wrong


@pytest.mark.parametrize("way", WAYS)
def test_every_variable_is_a_setting_that_loads(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = objects(tmp_path, WAYS[way])
    variables = dict(of(made, "ConfigMap", "site")["data"])
    for one in made:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            for each in one["spec"]["template"]["spec"]["containers"][0].get("env", []):
                variables[each["name"]] = each.get("value", "somebody")
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    ours = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    assert ours.keys() <= known
    for name in list(ours):
        monkeypatch.setenv(name, ours[name].replace("$(POD_NAME)", "site-worker-0"))
    assert Settings.load().partitions == 8


def test_a_worker_ends_by_itself_before_kubernetes_kills_it(tmp_path: Path) -> None:
    made = objects(tmp_path, {**BROKER, "worker": {"drainTimeout": 45}})
    pod = of(made, "Deployment", "site-worker")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 55
    assert of(made, "ConfigMap", "site")["data"]["AEGIS_DRAIN_TIMEOUT"] == "45s"


def test_no_container_may_more_than_it_must(tmp_path: Path) -> None:
    for one in objects(tmp_path, WAYS["with everything, scaled by lag"]):
        if one["kind"] not in ("Deployment", "StatefulSet", "Job"):
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            may = container["securityContext"]
            assert may["readOnlyRootFilesystem"]
            assert not may["allowPrivilegeEscalation"]
            assert may["capabilities"] == {"drop": ["ALL"]}


def test_a_change_of_settings_restarts_workers(tmp_path: Path) -> None:
    def mark(values: dict[str, Any]) -> str:
        worker = of(objects(tmp_path, values), "Deployment", "site-worker")
        return str(worker["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert mark(BROKER) == mark({**BROKER, "worker": {"replicas": 3}})
    assert mark(BROKER) != mark({**BROKER, "settings": {"AEGIS_POLICY": "defensive"}})


def test_workers_on_gpus_ask_for_them_and_the_others_do_not(tmp_path: Path) -> None:
    made = objects(tmp_path, {**SECURED, "gpu": {"enabled": True, "count": 2}})
    worker, gateway = (of(made, "Deployment", f"site-{part}") for part in ("worker", "gateway"))
    of_worker, of_gateway = (one["spec"]["template"]["spec"]["containers"][0] for one in (worker, gateway))
    assert of_worker["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert of_worker["image"].endswith("-cuda")
    assert not of_gateway["image"].endswith("-cuda")
    assert "nvidia.com/gpu" not in of_gateway["resources"]["limits"]


def test_alerts_come_from_the_same_file_as_without_kubernetes(tmp_path: Path) -> None:
    rule = of(objects(tmp_path, WAYS["with everything, scaled by lag"]), "PrometheusRule", "site")
    ours = yaml.safe_load((broker_jars.ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    names = [each["alert"] for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]
    assert names == [each["alert"] for group in ours["groups"] for each in group["rules"] if "alert" in each]
    for group in rule["spec"]["groups"]:
        for each in group["rules"]:
            if "alert" in each:
                assert each["annotations"]["runbook_url"].startswith("https://example.org/runbook.md#")


REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no broker": ({}, "kafka.bootstrapServers is empty"),
    "more workers than partitions": ({**BROKER, "keda": {"enabled": True, "maxReplicas": 9}}, "above kafka.partitions"),
    "static members that scale": (
        {**BROKER, "keda": {"enabled": True}, "persistence": {"enabled": True, "staticMembers": True}},
        "exclude each other",
    ),
    "static members without a name": ({**BROKER, "persistence": {"staticMembers": True}}, "needs persistence.enabled"),
    "a console for everybody": ({**BROKER, "console": {"enabled": True}}, "need access.userHeader"),
    "a header from everybody": ({**BROKER, "access": {"userHeader": "X-User"}}, "needs access.trustedProxies"),
    "SASL without a user": (
        {"kafka": {"bootstrapServers": "kafka:9093", "securityProtocol": "sasl_ssl"}},
        "kafka.sasl.secretName is empty",
    ),
    "a misspelt value": ({**BROKER, "worker": {"replica": 3}}, "additional properties 'replica' not allowed"),
    "a variable that is none of ours": ({**BROKER, "settings": {"POLICY": "x"}}, "POLICY"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused(tmp_path: Path, what: str) -> None:
    values, reason = REFUSED[what]
    made, complaint = template(tmp_path, values)
    assert not made
    assert reason in complaint


def test_every_value_is_described(tmp_path: Path) -> None:
    """Each key of the second level or deeper has a comment of its own or of its group."""
    text = (CHART / "values.yaml").read_text()
    assert not re.search(r"\t| +$", text, re.MULTILINE)
    done = kubernetes.run("helm", "lint", CHART, "--strict", "--set", "kafka.bootstrapServers=kafka:9092")
    assert done.returncode == 0, done.stdout
