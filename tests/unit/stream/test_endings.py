"""How a worker ends says what went wrong, and quotes no message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from ensemble.errors import MomentsVersionError
from stream.endings import _told
from stream.errors import PipelineError, StateError, StreamError, WriteError
from stream.pipeline import Pipeline
from stream.worker import Worker

CANARY = "canary-of-a-persons-text"


async def end_of(guard: Any, raised: Exception, **of: Any) -> StreamError:
    """What a guarded task that raises ends the worker with."""
    ends: list[StreamError] = []

    async def work() -> None:
        raise raised

    service: Any = SimpleNamespace(fatal=ends.append, _fatal=ends.append, name="score")
    with pytest.raises(type(raised)):
        await guard(service, work if guard is Worker._guard else work())
    (end,) = ends
    return end


@pytest.mark.parametrize("guard", [Worker._guard, Pipeline._guard])
@pytest.mark.parametrize("raised", [ValueError(CANARY), KeyError(CANARY), RuntimeError(CANARY.encode())])
async def test_a_task_that_fails_is_told_by_type_and_place(guard: Any, raised: Exception) -> None:
    end = await end_of(guard, raised)
    assert type(end) is PipelineError
    assert f"{type(raised).__name__} at test_endings.py:" in str(end)
    assert CANARY not in repr(end)


async def test_a_refusal_of_the_broker_is_told_with_what_mends_it() -> None:
    end = await end_of(Pipeline._guard, TopicAuthorizationFailedError("aegis.verdicts.v1"))
    assert type(end) is WriteError
    assert "aegis.verdicts.v1" in str(end)
    assert str(end).endswith(": grant what `aegis topics acls` prints")


async def test_moments_of_another_version_are_told_as_they_are() -> None:
    end = await end_of(Worker._guard, MomentsVersionError("of version 9: run the one that wrote them"))
    assert (type(end), str(end)) == (StateError, "of version 9: run the one that wrote them")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, "nobody knows why"),
        (ValueError(CANARY), "ValueError at unknown"),
        (MessageSizeTooLargeError("The message is 9 bytes"), "MessageSizeTooLargeError('The message is 9 bytes')"),
        (TopicAuthorizationFailedError(), "TopicAuthorizationFailedError(): grant what `aegis topics acls` prints"),
    ],
)
def test_what_ended_faust_is_kafkas_word_or_a_place(error: Exception | None, says: str) -> None:
    assert _told(error) == says
    assert isinstance(error, KafkaError) or CANARY not in says
