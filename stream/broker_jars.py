"""What the embedded broker runs on: the Java of this machine, and Apache Kafka's jars, which Maven fetches once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from stream.errors import BrokerError

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy" / "broker"
LIBS = ROOT / ".aegis" / "kafka" / "libs"
MIN_JAVA = 17  # what Kafka 4 servers are compiled for
MAVEN_SECONDS = (
    600.0  # 43 MB: seconds on a usual line, minutes on a slow one; a hanging proxy must not hang us for ever
)
ELSEWHERE = "or name a running broker with AEGIS_BROKER"


def find_java() -> str:
    """Returns the path of a Java that can run the broker: `$JAVA_HOME/bin/java`, else the one in PATH.

    Raises BrokerError when there is none, or when it is older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java"))) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no Java in PATH"
        raise BrokerError(f"{where}: install a JRE {MIN_JAVA} or newer, {ELSEWHERE}")
    version = java_version(java)
    if version < MIN_JAVA:
        raise BrokerError(f"{java} is Java {version}, the broker needs {MIN_JAVA}: install a newer JRE, {ELSEWHERE}")
    return java


def bare_environment() -> dict[str, str]:
    """This process's environment for programs of others: without our settings, among which there may be passwords."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("AEGIS_")}


def java_version(java: str) -> int:
    """Returns the feature release of the Java at this path: 8 for "1.8.0_402", 17 for "17.0.15". Raises BrokerError."""
    try:
        done = subprocess.run(
            [java, "-version"], env=bare_environment(), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"{java} cannot be run ({error}): install a JRE {MIN_JAVA} or newer, {ELSEWHERE}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    if found is None:
        raise BrokerError(f"{java} does not tell its version: install a JRE {MIN_JAVA} or newer, {ELSEWHERE}")
    return int(found.group(1))


def ensure_jars(libs: Path = LIBS, pom: Path = DEPLOY / "pom.xml") -> Path:
    """Returns the folder of the broker's jars; Maven is asked only when this pom's jars are not there yet.

    Raises BrokerError when the pom, Maven, or what Maven should have fetched is missing.
    """
    if not pom.is_file():
        raise BrokerError(f"{pom} is not there: run the embedded broker from a source checkout, {ELSEWHERE}")
    want = hashlib.sha256(pom.read_bytes()).hexdigest()
    # The mark is written last and the folder is renamed into place: half a download never passes for a whole one.
    mark = libs / "pom.sha256"
    if not (mark.is_file() and mark.read_text() == want):
        _fetch(pom, libs, want)
    return libs


def _fetch(pom: Path, libs: Path, want: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(f"there is no Maven in PATH to fetch Apache Kafka with: install Maven, {ELSEWHERE}")
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent) as scratch:
        fetched = Path(scratch, "libs")
        _run_maven([maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"])
        if not any(fetched.glob("kafka_*.jar")):
            raise BrokerError(f"Maven fetched no Kafka server for {pom}: check its dependencies, {ELSEWHERE}")
        (fetched / "pom.sha256").write_text(want)
        if libs.exists():
            libs.rename(Path(scratch, "old"))
        fetched.rename(libs)


def _run_maven(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, env=bare_environment(), capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerError(
            f"Maven took over {MAVEN_SECONDS:.0f} s: check the network or its mirror, {ELSEWHERE}"
        ) from error
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["it said nothing"]
        reason = re.sub(r"\x1b\[[0-9;]*m|\[ERROR\]", "", said[0]).strip()[:300]
        raise BrokerError(
            f"Maven could not fetch Apache Kafka ({reason}): check the network or its mirror, {ELSEWHERE}"
        )
