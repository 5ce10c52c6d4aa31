from __future__ import annotations

from pathlib import Path

import pytest

from stream.broker import free_port
from stream.errors import BrokerError
from support.broker import NAMED, broker_for_tests
from support.kafka import eventually, eventually_async


def test_a_test_broker_that_is_named_and_unreachable_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAMED, f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerError, match="no broker answers"), broker_for_tests(tmp_path):
        pass


def test_a_condition_that_never_comes_fails_and_names_itself() -> None:
    with pytest.raises(AssertionError, match="the end of time did not come"):
        eventually(lambda: 0, deadline=0.01, awaited="the end of time")


async def test_a_condition_may_be_a_coroutine() -> None:
    answers = iter([False, True])

    async def condition() -> bool:
        return next(answers)

    assert await eventually_async(condition) is True
