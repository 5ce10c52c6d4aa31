"""`python fake_worker.py`: a worker like any other, but with experts that answer at once. Run as a process of its own,
so that it can be killed.

`AEGIS_TEST_EXPERTS` names other experts, with commas between them: `instant`, `recalling` (which tells one history from
another), `nan`, `slow`, `crashing`, `dying` (whose thread dies of its first turn), `gated` (which answers once the file
AEGIS_TEST_GATE is there), or a number, which is what that expert says of everything. Their names are `expert0`,
`expert1`, ... `AEGIS_TEST_SPARES` names more of them, numbered on, which the worker can load and does not start with;
`broken` cannot be loaded."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experts.base import Expert, Passage, Scores
from experts.errors import ManifestError
from experts.executor import Panel
from experts.fakes import ConstantExpert, CrashingExpert, InstantExpert, NaNExpert, RecallingExpert, SlowExpert
from stream import logs
from stream.commands import exit_code
from stream.commands.worker import serve
from stream.errors import StreamError
from stream.expert_swaps import Supply
from stream.settings import Settings

CHOSEN = "AEGIS_TEST_EXPERTS"
SPARES = "AEGIS_TEST_SPARES"
GATE = "AEGIS_TEST_GATE"


def waiting(gate: Path) -> Path:
    """The file that tells that a worker waits at the gate."""
    return gate.with_name("waiting")


@dataclass(frozen=True)
class GatedExpert(InstantExpert):
    """Answers like InstantExpert, but not before its file is there; while it waits, so does `waiting`."""

    gate: Path = field(kw_only=True)

    def advise(self, passages: Sequence[Passage]) -> Scores:
        waiting(self.gate).touch()
        while not self.gate.exists():
            time.sleep(0.01)
        return super().advise(passages)


@dataclass
class DyingExpert:
    """Its thread dies of the first turn: it raises, and again when it is told of, as only a bug of ours could."""

    name: str
    version: str = "1"
    raised: bool = False

    @property
    def id(self) -> str:
        if self.raised:
            self.raised = False
            raise MemoryError
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        self.raised = True
        raise MemoryError


def expert(number: int, kind: str) -> Expert:
    """Raises ValueError for a kind that is not listed above, ManifestError for a broken one."""
    name = f"expert{number}"
    match kind:
        case "instant":
            return InstantExpert(name, salt=number)
        case "recalling":
            return RecallingExpert(name)
        case "nan":
            return NaNExpert(name)
        case "slow":
            return SlowExpert(name=name)
        case "crashing":
            return CrashingExpert(name=name)
        case "dying":
            return DyingExpert(name)
        case "gated":
            return GatedExpert(name, gate=Path(os.environ[GATE]))
        case "broken":
            raise ManifestError(f"{name} is broken on purpose: enable another one")
    return ConstantExpert(float(kind), name)


def main() -> None:
    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    kinds = os.environ.get(CHOSEN, "instant,instant,instant").split(",")
    spares = os.environ[SPARES].split(",") if SPARES in os.environ else []
    panel = Panel([expert(number, kind) for number, kind in enumerate(kinds)], settings.expert_timeout)
    names = {f"expert{number}": (number, kind) for number, kind in enumerate(kinds + spares)}

    def load(name: str) -> Expert:
        if name not in names:
            raise ManifestError(f"there is no expert {name!r}, only {', '.join(names)}")
        return expert(*names[name])

    serve(settings, panel, Supply(tuple(names)[: len(kinds)], load))


if __name__ == "__main__":
    try:
        main()
    except StreamError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
