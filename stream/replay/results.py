"""What a replay found, as `--json` writes it. A value is null where it is not defined. Fields are added, never renamed,
while `form` is 1.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from stream.records import LabelName


class Tried(Struct, frozen=True):
    """What was asked for: with the same input, the same answer. `policy` is null where the settings name it; `switches`
    are as given; `forecasters` are empty where the policies name them."""

    policy: str | None
    switches: tuple[str, ...]
    forecasters: tuple[str, ...]
    delay: float
    delay_turns: int
    label_rate: float
    seed: int
    together: int
    as_published: bool
    candidate: str | None = None


class Read(Struct, frozen=True):
    """What the input held; `left_out` is by reason, `bad` lines could not be read."""

    turns: int
    labels: int
    learned: int
    bad: int
    left_out: dict[str, int]
    first: str | None
    last: str | None
    """When the first and the last turn were scored."""


class Standing(Struct, frozen=True):
    """One expert in a context. `labelled` rounds (counted in importance weights) are those in which it was awake;
    `weight` is that of the end, with every expert awake that ever was. `bound` is null where nothing is guaranteed, as
    for a shadow."""

    expert: str
    labelled: float
    weight: float
    loss: float
    regret: float
    bound: float | None
    shadow: bool = False


class Point(Struct, frozen=True):
    """A context on its way: after `rounds` labelled turns of the phase, `at` seconds after the first turn. Maps are by
    expert, those that voted in the phase."""

    rounds: int
    at: float
    weights: dict[str, float]
    losses: dict[str, float]
    regret: dict[str, float]
    loss: float
    bound: float | None
    alarm: bool


class Phase(Struct, frozen=True):
    """A context under one policy, from turn `since` (of all turns) on: everything counts from there. `regret` is that
    to the best expert, `ratio` the largest part of its bound that a regret is, `delay` the total delay D."""

    context: str
    policy: str
    since: int
    turns: int
    rounds: int
    weighed: float
    """The rounds counted in importance weights, as losses are."""
    delay: float
    loss: float
    best: str | None
    regret: float | None
    bound: float | None
    ratio: float
    alarm: bool
    experts: tuple[Standing, ...]
    points: tuple[Point, ...]


class Decile(Struct, frozen=True):
    """Scores of a tenth of [0, 1]: how many, their mean, and the share that people called unsafe, as the policy reads
    it."""

    count: int
    mean_score: float
    share: float


class Pair(Struct, frozen=True):
    """Turns that were decided `before` and are decided `after` here. Of those that people labelled, how many came
    nearer to the class that they gave, and how many went farther from it."""

    before: LabelName
    after: LabelName
    turns: int
    labelled: int
    nearer: int
    farther: int


class Agreement(Struct, frozen=True):
    """Labelled turns of one class as people gave it, by what was decided of them before and is here."""

    label: LabelName
    turns: int
    before: dict[LabelName, int]
    after: dict[LabelName, int]


class Compared(Struct, frozen=True):
    """What is decided here beside what was decided before: in the published verdicts, or here without the candidate.
    `turns` have both, `changed` of them got another label; `pairs` without the turns that did not change."""

    than: Literal["published", "without"]
    turns: int
    changed: int
    pairs: tuple[Pair, ...]
    agreement: tuple[Agreement, ...]


class Run(Struct, frozen=True):
    """The stream under one rule; with a candidate, once `with` it and once `without`."""

    forecaster: str
    phases: tuple[Phase, ...]
    reliability: tuple[Decile, ...]
    candidate: Literal["with", "without"] | None = None
    compared: tuple[Compared, ...] = ()

    @property
    def title(self) -> str:
        """What tells it from the other runs."""
        return self.forecaster if self.candidate is None else f"{self.forecaster}, {self.candidate} the candidate"


class Effect(Struct, frozen=True):
    """What the candidate came to in a context, under one rule and policy (`since` as in `Phase`). Losses are sums over
    the rounds, `labelled` those in which it was awake; `weight` is that of the end, and a `regret` above 0 what more of
    it would have won."""

    forecaster: str
    context: str
    policy: str
    since: int
    rounds: int
    loss_without: float
    loss_with: float
    labelled: float
    own_loss: float
    weight: float
    regret: float


class Candidate(Struct, frozen=True):
    """An expert that was asked now about the turns of then: `scored` it answered, on `slept` it had no advice, of
    `untold` the text is not there any more."""

    id: str
    scored: int
    slept: int
    untold: int
    effects: tuple[Effect, ...] = ()


class Delays(Struct, frozen=True):
    """Seconds within which so many of the learned labels had come."""

    half: float
    nine_tenths: float
    all: float


class Replay(Struct, frozen=True):
    """Everything."""

    form: Literal[1]
    tried: Tried
    read: Read
    delays: Delays | None
    runs: tuple[Run, ...]
    candidate: Candidate | None = None
