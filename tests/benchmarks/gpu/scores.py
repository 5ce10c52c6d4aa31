"""What half precision and the GPU do to scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from benchmarks.gpu.results import Apart
from experts.base import Passage
from experts.registry import load_experts

CPU_FP32 = "CPU, fp32"


def scores_apart(
    passages: Sequence[Passage], chosen: Sequence[str], sessions: Mapping[str, ort.InferenceSession]
) -> Iterator[Apart]:
    """Each expert on these sessions of the encoder, and as it is served on the GPU, beside the same on the CPU."""
    on_cpu = load_experts(chosen=chosen, device="cpu")
    on_cuda = load_experts(chosen=chosen, device="cuda")
    truth = {expert.name: expert.advise(passages) for expert in on_cpu}
    for name, session in sessions.items():
        trunk = on_cpu[0].trunk
        rows = trunk.encode(passages)
        features = np.concatenate([session.run(None, dict(trunk.feeds([row])))[0] for row in rows])
        for expert in on_cpu:
            awake = [place for place, passage in enumerate(passages) if expert.wakes(passage.role)]
            found = expert.conclude(np.asarray(features, np.float32)[awake]).scores
            yield _apart(expert.name, name, found, truth[expert.name][awake])
    for expert in on_cuda:
        yield _apart(expert.name, "GPU, fp16, as served", expert.advise(passages), truth[expert.name])


def _apart(expert: str, session: str, found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Apart:
    """Rows on which both sleep do not count. ValueError if one sleeps alone."""
    if (np.isnan(found) != np.isnan(truth)).any():
        raise ValueError(f"{expert} sleeps on other turns on the GPU than on the CPU")
    differences = np.abs(found - truth)[~np.isnan(truth)]
    return Apart(
        expert, session, float(differences.max()), float(np.percentile(differences, 99)), float(np.median(differences))
    )
