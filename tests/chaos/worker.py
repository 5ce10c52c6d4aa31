"""`python worker.py`: a worker whose experts take as long a batch as AEGIS_TEST_EXPERT_SECONDS says.

A real model takes tens of milliseconds, so that a fault often finds turns that are taken and not decided yet. Experts
that answer at once would leave that moment almost untested."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experts.base import Passage, Scores
from experts.executor import Panel
from experts.fakes import hashed_score
from stream import logs
from stream.commands.worker import serve
from stream.settings import Settings

SECONDS = "AEGIS_TEST_EXPERT_SECONDS"


@dataclass(frozen=True, slots=True)
class UnhurriedExpert:
    """Answers by a hash of the passage, `seconds` after it was asked."""

    salt: int
    seconds: float
    version: str = "1"

    @property
    def name(self) -> str:
        return f"expert{self.salt}"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        time.sleep(self.seconds)
        return np.array([hashed_score(passage, self.salt) for passage in passages], np.float32)


if __name__ == "__main__":
    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    serve(settings, Panel([UnhurriedExpert(salt, float(os.environ[SECONDS])) for salt in range(3)]))
