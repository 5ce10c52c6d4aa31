"""What a candidate came to: the runs with it beside those without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream.replay.results import Effect, Phase, Run, Standing

NOBODY = Standing("", 0.0, 0.0, 0.0, 0.0, None)


def effects(runs: Sequence[Run], candidate: str) -> Iterator[Effect]:
    """Of each context and policy in which it was asked, the busiest first."""
    without = {_key(run, phase): phase for run in runs if run.candidate == "without" for phase in run.phases}
    for run in runs:
        for phase in run.phases if run.candidate == "with" else ():
            own = next((one for one in phase.experts if one.expert == candidate and not one.shadow), NOBODY)
            other = without.get(_key(run, phase))
            if other is not None:
                yield Effect(
                    run.forecaster, phase.context, phase.policy, phase.since, phase.rounds, other.loss, phase.loss,
                    own.labelled, own.loss, own.weight, own.regret,
                )  # fmt: skip


def _key(run: Run, phase: Phase) -> tuple[str, str, int]:
    return run.forecaster, phase.context, phase.since
