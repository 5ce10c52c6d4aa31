"""What only a GPU shows: where models run, what half precision does to scores, and that a full batch fits."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from experts.base import ABSTAINED, OK, Passage
from experts.cuda import Binding, Staging, pin
from experts.executor import Panel
from experts.manifest import read_manifest
from experts.registry import ZOO, fallbacks, load_expert, load_panel, names
from experts.served import OnnxExpert

pytestmark = pytest.mark.gpu

NEURAL = tuple(name for name in names() if read_manifest(ZOO / name).kind != "lexical")
TOLERANCE = 5e-3  # of a probability, in fp16
PASSAGES = tuple(
    Passage(role, f"a text of some length, number {number} " * (number % 40 + 1))
    for number in range(128)
    for role in ("user", "assistant")
)


@pytest.mark.parametrize("name", NEURAL)
def test_a_model_runs_on_the_gpu_in_half_precision_through_bound_buffers(name: str) -> None:
    expert = load_expert(ZOO / name, "auto")
    assert expert.session.device == "cuda"
    assert fallbacks([expert]) == {}
    assert isinstance(expert.session._runner, Binding)


@pytest.mark.parametrize("name", NEURAL)
def test_scores_on_the_gpu_are_those_of_the_cpu(name: str) -> None:
    on_cpu = load_expert(ZOO / name, "cpu").advise(PASSAGES)
    assert load_expert(ZOO / name, "cuda").advise(PASSAGES) == pytest.approx(on_cpu, abs=TOLERANCE, nan_ok=True)


def test_a_score_does_not_depend_on_its_batch_by_more_than_half_precision_does() -> None:
    panel: Panel = load_panel(chosen=NEURAL, device="cuda")
    try:
        panel.warm_up()
        together = panel.advise(PASSAGES).scores
        alone = np.concatenate([panel.advise([passage]).scores for passage in PASSAGES[::8]])
    finally:
        panel.close()
    assert together[::8] == pytest.approx(alone, abs=TOLERANCE, nan_ok=True)


def test_two_thousand_long_turns_in_one_call_fit_and_are_answered() -> None:
    panel = load_panel(chosen=NEURAL, device="cuda")
    awake = [expert.wakes("assistant") for expert in panel.experts if isinstance(expert, OnnxExpert)]
    try:
        advice = panel.advise([Passage("assistant", f"{number} " + "many words " * 2000) for number in range(2000)])
    finally:
        panel.close()
    assert (advice.status == np.where(awake, OK, ABSTAINED)).all()


def test_the_buffers_that_the_gpu_copies_from_are_pinned() -> None:
    load_expert(ZOO / NEURAL[0], "cuda")  # brings the CUDA runtime into the process
    buffer = np.empty(4096, np.int64)
    assert pin(buffer)
    flags = ctypes.c_uint()
    runtime = next(ctypes.CDLL(f"libcudart.so.{version}") for version in (13, 12))
    assert runtime.cudaHostGetFlags(ctypes.byref(flags), ctypes.c_void_p(buffer.ctypes.data)) == 0
    assert Staging().stage("ids", np.arange(5)).tolist() == [0, 1, 2, 3, 4]
