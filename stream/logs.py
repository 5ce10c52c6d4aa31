"""Structured logs on standard error: an event in snake_case verbs and its fields; never a text, never a
conversation."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

LIBRARIES = ("faust", "mode", "aiokafka", "asyncio")
"""Under mode's own set-up aiokafka logs at DEBUG, which costs a tenth of the time; here they speak from WARNING on."""


@contextmanager
def silent(library: str) -> Iterator[None]:
    """While something is begun whose failure is one line of our own, a library says nothing of it."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def configure(level: str, form: str) -> None:
    """`level` is debug, info, warning or error; `form` is json (one object a line, for a collector) or console."""
    # Plain tracebacks: one that shows local variables shows the texts in them.
    plain = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    renderer = structlog.processors.JSONRenderer() if form == "json" else plain
    shared: list[structlog.typing.Processor] = [
        *([structlog.processors.format_exc_info] if form == "json" else []),
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
