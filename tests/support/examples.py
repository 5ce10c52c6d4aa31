"""The programs under `deploy/examples`, built as their README says, and run as a user would run them.

They are built in a copy outside the tree, beside a copy of the contracts, from which TypeScript makes its types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from stream.settings import PREFIX, Settings
from support.worker_process import ROOT

FOLDER: Final = ROOT / "deploy" / "examples"
BUILD_SECONDS: Final = 500.0
"""Measured: 5 s each, and 14 s the first time, when Maven's plugins or npm's packages are fetched; slow lines exist."""
RUN_SECONDS: Final = 90.0
"""Measured: under 3 s; each gives up on a verdict after 60."""


@dataclass(frozen=True)
class Example:
    """How one of them is built, from its own folder, and begun. `needs`: programs that a machine may lack."""

    name: str
    run: Sequence[str]
    build: Sequence[Sequence[str]] = ()
    needs: Sequence[str] = ()

    @property
    def annotator(self) -> str:
        return f"example-{self.name}"


PYTHON: Final = Example("python", (sys.executable, "moderate.py"))
JAVA: Final = Example(
    "java", ("java", "-jar", "target/moderate.jar"), (("mvn", "-q", "-B", "package"),), ("mvn", "java")
)
TYPESCRIPT: Final = Example(
    "typescript",
    ("node", "dist/moderate.js"),
    (("npm", "ci", "--no-audit", "--no-fund"), ("npm", "run", "build")),
    ("npm", "node"),
)
KCAT: Final = Example("kcat", ("./moderate.sh",), needs=("kcat", "bash"))


@dataclass(frozen=True)
class Built:
    """An example that is ready to run on topics of its own."""

    example: Example
    folder: Path
    settings: Settings

    def start(self, *texts: str, label: str = "safe", role: str = "user") -> subprocess.Popen[str]:
        """Begin it. Options for kcat's script are its second argument and a variable."""
        named = ["--label", label, "--role", role]
        arguments = [*texts, label] if self.example is KCAT else [*named, *texts]
        where = {"AEGIS_BROKER": self.settings.broker, "AEGIS_TOPIC_PREFIX": self.settings.topic_prefix}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.example.run, *arguments],
            cwd=self.folder,
            env={**_environment(), **where, "ROLE": role},
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """What it wrote, and its exit code, once it has ended by itself."""
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def build(example: Example, folder: Path) -> Path:
    """Build it under `folder` and return where; skips the test when the machine lacks what it needs."""
    for program in example.needs:
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} in PATH, which the example in {example.name} needs")
    built = folder / "deploy" / "examples" / example.name
    shutil.copytree(FOLDER / example.name, built, ignore=shutil.ignore_patterns("node_modules", "target", "dist"))
    shutil.copytree(ROOT / "stream" / "contracts", folder / "stream" / "contracts")
    for command in example.build:
        done = subprocess.run(
            command, cwd=built, env=_environment(), capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return built


def _environment() -> dict[str, str]:
    """This process's, but for settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
