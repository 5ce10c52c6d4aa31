"""helm, kubeconform, and the schemas that a chart's objects are checked with: all of them from Go's modules, which are
pinned by version and, where they are data, by checksum.

`python -m support.kubernetes FOLDER` brings them there; a minute, once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from stream import broker_jars

FOLDER: Final = broker_jars.ROOT / ".aegis" / "tools"
PROGRAMS: Final = {
    "helm": "helm.sh/helm/v3/cmd/helm@v3.22.0",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
}
KUBERNETES: Final = "1.34.2"
SOURCES: Final = {
    "kubernetes": (f"k8s.io/kubernetes@v{KUBERNETES}", "h1:WQdDvYJazkmkwSncgNwGvVtaCt4TYXIU3wSMRgvp3MI="),
    "keda": ("github.com/kedacore/keda/v2@v2.18.1", "h1:h6bRt/IOxxtZpJlHSqhdH/lcInH7Z9obxg/JvWOmGAw="),
    "operator": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    ),
    "compose": ("github.com/compose-spec/compose-go/v2@v2.10.0", "h1:K2C5LQ3KXvkYpy5N/SG6kIYB90iiAirA9btoTh/gB0Y="),
}
"""Module and the checksum of its content."""


def missing() -> str | None:
    """Why charts cannot be checked here; None if they can."""
    if not (FOLDER / "schemas").is_dir():
        return "needs Go, and `make tools` once"
    return None


def run(program: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """helm or kubeconform, to their end."""
    command = [FOLDER / program, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


def fetch(folder: Path) -> None:
    """Raises CalledProcessError where a module cannot be had, ValueError where it is not the one that is pinned."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(folder.resolve()), "GOFLAGS": "-mod=mod"}
    for program, package in PROGRAMS.items():
        if not (folder / program).exists():
            subprocess.run(["go", "install", package], env=environment, check=True, timeout=600)
    schemas = folder / "schemas"
    if schemas.exists():
        return
    made = folder / "schemas.part"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    _write_kubernetes(made, _module("kubernetes") / "api" / "openapi-spec" / "swagger.json")
    keda = _module("keda") / "config" / "crd" / "bases"
    _write_custom(made, keda / "keda.sh_scaledobjects.yaml", keda / "keda.sh_triggerauthentications.yaml")
    operator = _module("operator") / "example" / "prometheus-operator-crd"
    of_rules, of_monitors = (f"monitoring.coreos.com_{kind}.yaml" for kind in ("prometheusrules", "servicemonitors"))
    _write_custom(made, operator / of_rules, operator / of_monitors)
    shutil.copy(_module("compose") / "schema" / "compose-spec.json", made)
    made.rename(schemas)


def _module(name: str) -> Path:
    """The folder of a module's content."""
    module, checksum = SOURCES[name]
    done = subprocess.run(
        ["go", "mod", "download", "-json", module], check=True, capture_output=True, cwd="/", timeout=300
    )
    found = json.loads(done.stdout)
    if found["Sum"] != checksum:
        raise ValueError(f"{module} has the checksum {found['Sum']}, not {checksum}: do not use it")
    return Path(found["Dir"])


def _write_kubernetes(folder: Path, swagger: Path) -> None:
    """A file for each kind, whose references lead into one file with all definitions."""
    text = swagger.read_text().replace('"#/definitions/', '"_definitions.json#/definitions/')
    definitions: dict[str, Any] = json.loads(text)["definitions"]
    for name, definition in definitions.items():
        _close(definition)
        # The swagger calls both strings, and Kubernetes takes numbers for them.
        if definition.get("format") == "int-or-string" or name.endswith(".resource.Quantity"):
            definition["type"] = ["string", "number"]
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            _write(folder, kind["kind"], f"{group}-{kind['version']}".strip("-"), definition)
    (folder / "_definitions.json").write_text(json.dumps({"definitions": definitions}))


def _close(definition: dict[str, Any]) -> None:
    """A field that nobody knows is a mistake: Kubernetes' own definitions leave that open."""
    if definition.get("type") == "object" and "properties" in definition:
        definition.setdefault("additionalProperties", False)


def _write_custom(folder: Path, *definitions: Path) -> None:
    for kind, group, version, schema in _custom(definitions):
        for part in (schema, schema["properties"]["spec"]):
            _close(part)
        schema["properties"]["metadata"] = {"type": "object"}
        _write(folder, kind, f"{group.split('.')[0]}-{version}", schema)


def _custom(definitions: Iterable[Path]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for file in definitions:
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            yield spec["names"]["kind"], spec["group"], version["name"], schema


def _write(folder: Path, kind: str, suffix: str, schema: dict[str, Any]) -> None:
    """By the name that kubeconform asks for with `{{.ResourceKind}}{{.KindSuffix}}`."""
    (folder / f"{kind.lower()}-{suffix}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
