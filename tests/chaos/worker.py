"""`python -m chaos.worker`: a worker whose experts take as long a batch as AEGIS_TEST_EXPERT_SECONDS says, and fail
when they are told to.

A real model takes tens of milliseconds, so that a fault often finds turns that are taken and not decided yet. Experts
that answer at once would leave that moment almost untested."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chaos.control import control
from experts.base import Passage, Scores
from experts.executor import Panel
from experts.fakes import hashed_score
from stream import logs
from stream.commands.worker import serve
from stream.errors import StreamError
from stream.settings import Settings

SECONDS = "AEGIS_TEST_EXPERT_SECONDS"
FAILING = 1
"""The expert that fails; the others go on."""


@dataclass(frozen=True, slots=True)
class UnhurriedExpert:
    """Answers by a hash of the passage, `seconds` after it was asked, or fails as ordered; `patience`: the seconds that
    the worker waits."""

    salt: int
    seconds: float
    patience: float
    version: str = "1"

    @property
    def name(self) -> str:
        return f"expert{self.salt}"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        time.sleep(self.seconds)
        scores = np.array([hashed_score(passage, self.salt) for passage in passages], np.float32)
        order = control.orders.experts if control is not None else ""
        if order and (order == "all raise" or self.salt == FAILING):
            self._fail(order, scores)
        return scores

    def _fail(self, order: str, scores: Scores) -> None:
        match order:
            case "slow":
                time.sleep(self.patience * 1.5)
            case "nan":
                scores[:] = np.nan
            case "dies":
                assert control is not None
                control.recovered()
                os.kill(os.getpid(), signal.SIGSEGV)
            case _:
                raise RuntimeError("ordered to fail")


if __name__ == "__main__":
    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    seconds, patience = float(os.environ[SECONDS]), settings.expert_timeout
    try:
        serve(settings, Panel([UnhurriedExpert(salt, seconds, patience) for salt in range(3)], patience))
    except StreamError as error:  # as the command does
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
