"""The services for one machine with Docker: valid, and with every file that they name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from stream import broker_jars
from stream.__main__ import cli
from stream.settings import PREFIX, Settings
from support import kubernetes

DEPLOY: Final = broker_jars.ROOT / "deploy"
OURS: Final = ("topics", "worker", "console", "gateway")


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.skipif(kubernetes.missing() is not None, reason=str(kubernetes.missing()))
def test_the_file_is_valid() -> None:
    schema = json.loads((kubernetes.FOLDER / "schemas" / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def test_every_file_that_is_mounted_is_there() -> None:
    sources = [volume.split(":")[0] for one in services().values() for volume in one.get("volumes", [])]
    files = [source for source in sources if source.startswith(".")]
    assert files
    for file in files:
        assert (DEPLOY / file).exists(), file


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_variable_of_ours_is_one(name: str) -> None:
    service = services()[name]
    words = [*service["command"], "--help"]
    shown = CliRunner().invoke(cli, words)
    assert shown.exit_code == 0, shown.output
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    assert {variable for variable in service["environment"] if variable.startswith(PREFIX)} <= known


def test_nobody_else_on_the_network_comes_in() -> None:
    for service in services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_has_what_its_file_copies() -> None:
    """Whatever the Dockerfile copies from the tree is there, and .dockerignore lets it through."""
    root = DEPLOY.parent
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    let_through = re.findall(r"^!(.+)$", (root / ".dockerignore").read_text(), re.MULTILINE)
    for source in (source for line in copied for source in line.split()):
        assert (root / source).exists(), source
        assert any(Path(source).is_relative_to(allowed) for allowed in let_through), source
