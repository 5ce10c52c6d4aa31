"""How a worker's process ends: one line, and an exit code that a supervisor acts on."""

import os
from typing import NoReturn

import structlog
from aiokafka.errors import KafkaError

from stream.errors import FencedError, PassingError, PipelineError, StreamError
from stream.pipeline import where
from stream.refusals import allowed

log = structlog.get_logger()


def end_undrained(reason: str) -> NoReturn:
    """Of a worker that was told to end: exit code 0, since the next owner reads again what was not committed."""
    log.warning("worker_stopped", reason=reason)
    os._exit(0)


def end_process(error: StreamError) -> NoReturn:
    """One line and the error's exit code. Nothing is cleaned up: the changelog and the committed offsets are the truth,
    and a half-stopped worker would only hold its partitions longer."""
    again = {"remedy": "start it again: it goes on from its changelog"} if isinstance(error, PassingError) else {}
    log.critical("worker_ended", reason=str(error), exit_code=error.exit_code, **again)
    os._exit(error.exit_code)


def crashed(reason: BaseException | None, name: str | None) -> StreamError:
    """What ended Faust, of a worker with this AEGIS_INSTANCE_ID. aiokafka has no name for what the broker answers to a
    static member whose name another one has by now."""
    if name is not None and isinstance(reason, KafkaError):
        return FencedError(
            f"the group refused this worker ({reason!r}): is another one {name} too (AEGIS_INSTANCE_ID)?"
        )
    return PipelineError(f"Faust ended: {_told(reason)}")


def _told(error: BaseException | None) -> str:
    """What ended Faust: Kafka's own words, of other errors only where, since they may quote a message."""
    if error is None:
        return "nobody knows why"
    if isinstance(error, KafkaError):
        return f"{error!r}{allowed(error)}"
    return f"{type(error).__name__} at {where(error)}"
