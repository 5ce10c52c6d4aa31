"""`aegis gateway`."""

from __future__ import annotations

import asyncio
from functools import partial

import click

from stream.commands import hush
from stream.commands.worker import end_quietly_when_told


@click.command(short_help="Moderate and label over HTTP, in the shape of OpenAI's API.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8602, show_default=True, type=click.IntRange(0, 65535), help="0 takes one that is free."
)
@click.option("--as", "name", default="local", show_default=True, help="Who calls, where nobody is asked for a name.")
@click.option(
    "--mode",
    type=click.Choice(["topics", "direct", "either"]),
    default="topics",
    show_default=True,
    help="By way of the topics; at once, in this process, unrecorded; or as the request says.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    show_default=True,
    help="Seconds for a verdict, then 504: by default longer than other workers take over from one that was killed.",
)
@click.option(
    "--waiting",
    type=click.IntRange(1, 1_000_000),
    default=2000,
    show_default=True,
    help="Texts on their way at a time; more are told 503.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=1000.0,
    show_default=True,
    help="Texts and labels a second of one caller; more are told 429.",
)
@click.option(
    "--burst", type=click.IntRange(1), default=2000, show_default=True, help="Texts and labels of one caller at once."
)
@click.option(
    "--max-body",
    type=click.IntRange(1, 64 << 20),
    default=4 << 20,
    show_default=True,
    help="Bytes of a request; more are told 413.",
)
def gateway(
    host: str, port: int, name: str, mode: str, timeout: float, waiting: int, rate: float, burst: int, max_body: int
) -> None:
    """Serve POST /v1/moderations in the shape of OpenAI's API, and POST /v1/labels, until SIGTERM or Ctrl-C.

    By default each text is published as a turn and its verdict read from verdicts.v1: workers decide, and people's
    labels of it are learned. With --mode direct this process asks the same experts under the same weights, and no turn
    is recorded. Who may call is said in AEGIS_TOKENS_FILE, or by a proxy (AEGIS_USER_HEADER, AEGIS_TRUSTED_PROXIES);
    with neither it listens on this machine only. /openapi.json describes it; /healthz, /readyz and /metrics are there.

    \b
    Examples:
      aegis gateway
      curl -s localhost:8602/v1/moderations -d '{"input": "How do I bake bread?"}'
      AEGIS_TOKENS_FILE=tokens aegis gateway --host 0.0.0.0 --mode either
    """
    hush()
    end_quietly_when_told()
    # Imported behind that: the experts take seconds.
    import uvloop

    from stream import logs
    from stream.expert_swaps import Supply
    from stream.gateway.app import OPEN, Bounds, run
    from stream.panels import expert_names, open_expert, open_panel
    from stream.settings import Settings
    from stream.web.access import Access

    settings = Settings.load()
    access = Access.of(settings, host, name, open_paths=OPEN)
    logs.configure(settings.log_level, settings.log_format)
    panel = supply = None
    if mode != "topics":
        supply = Supply(expert_names(settings), partial(open_expert, settings))
        panel = open_panel(settings)
    bounds = Bounds(timeout, waiting, rate, burst, max_body)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, access, bounds, (host, port), mode != "direct", panel, supply))
