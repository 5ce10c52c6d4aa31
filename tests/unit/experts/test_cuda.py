"""What a GPU needs, as far as a machine without one can show it; the rest is in `tests/gpu`."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort
import pytest

from experts import cuda
from experts.base import Passage
from experts.cuda import STAGED, Binding, Staging, pin, to_half
from experts.manifest import read_manifest
from experts.registry import ZOO, load_expert, names
from experts.session import Session


@dataclass
class Runtime:
    """Notes which addresses are pinned; refuses with `code`."""

    code: int = 0
    pinned: set[int] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)

    def cudaHostRegister(self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: ctypes.c_uint) -> int:
        assert address.value is not None
        if not self.code:
            self.pinned.add(address.value)
            self.sizes.append(size.value)
        return self.code

    def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:
        assert address.value is not None
        self.pinned.remove(address.value)
        return 0


def test_a_buffer_is_pinned_until_it_is_gone() -> None:
    runtime, buffer = Runtime(), np.empty(1000, np.int64)
    assert pin(buffer, runtime)
    assert (runtime.pinned, runtime.sizes) == ({buffer.ctypes.data}, [8000])
    del buffer
    gc.collect()
    assert runtime.pinned == set()


def test_a_buffer_that_cannot_be_pinned_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "CUDA_RUNTIMES", ("libnosuchcuda.so",))
    assert not pin(np.empty(8))
    assert not pin(np.empty(8), Runtime(code=2))
    assert Staging().stage("ids", np.arange(3)).tolist() == [0, 1, 2]


def test_values_are_staged_in_one_buffer_an_input_which_grows_where_it_must() -> None:
    staging = Staging()
    first = staging.stage("ids", np.arange(6).reshape(2, 3))
    other = staging.stage("mask", np.ones((2, 3), np.int64))
    again = staging.stage("ids", np.arange(8).reshape(2, 4))
    assert np.shares_memory(first, again)
    assert not np.shares_memory(other, again)
    assert again.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    large = np.arange(STAGED + 1)
    assert np.array_equal(staging.stage("ids", large), large)


@pytest.mark.train
def test_a_session_gives_the_same_with_its_inputs_and_output_bound() -> None:
    from support.folders import encoder

    session = ort.InferenceSession(encoder(2), providers=["CPUExecutionProvider"])
    bound = Binding(session)
    for rows, tokens in ((3, 5), (1, 2), (4, 7)):
        draws = np.random.default_rng(rows)
        feeds = {
            "input_ids": draws.integers(0, 10, (rows, tokens)),
            "attention_mask": np.ones((rows, tokens), np.int64),
        }
        feeds["token_type_ids"] = np.zeros((rows, tokens), np.int64)
        assert np.array_equal(bound.run(None, feeds)[0], session.run(None, feeds)[0])


def test_without_the_package_onnx_a_gpu_computes_in_fp32_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model, reason = to_half(b"")
    assert model is None
    assert reason == "it computes in fp32 on the GPU, since the package onnx, which makes it fp16, is not installed"


NEURAL = tuple(name for name in names() if read_manifest(ZOO / name).kind in ("classifier", "head"))
PASSAGES = tuple(
    Passage(role, f"a text of some length, number {number} " * (number % 5 + 1))
    for number in range(12)
    for role in ("user", "assistant")
)


@pytest.mark.train
@pytest.mark.parametrize("name", NEURAL)
def test_half_precision_moves_the_probabilities_of_shipped_experts_by_less_than_five_thousandths(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert = load_expert(ZOO / name, "cpu")
    before, session = expert.advise(PASSAGES), expert.session
    base = expert.manifest.backbone
    halved, reason = to_half((ZOO / (base.name if base else name) / "model.onnx").read_bytes())
    assert reason is None
    assert halved is not None
    monkeypatch.setattr(expert.trunk, "session", Session(halved, "it in fp16", set(session.inputs), "cpu"))
    after = expert.advise(PASSAGES)
    assert after == pytest.approx(before, abs=5e-3, nan_ok=True)
    assert not np.array_equal(after, before, equal_nan=True)  # it does compute in fp16


def test_without_a_driver_no_library_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cuda, "DRIVER", "libnosuchcuda.so")
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: asked.append("libraries"))
    cuda.load_libraries.__wrapped__()
    assert not asked


def test_with_a_driver_libraries_are_loaded_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def preload() -> None:
        asked.append("libraries")
        print("Failed to load libcublas.so.13")

    monkeypatch.setattr(cuda, "DRIVER", "libc.so.6")
    monkeypatch.setattr("onnxruntime.preload_dlls", preload)
    cuda.load_libraries.__wrapped__()
    assert asked == ["libraries"]
    assert capsys.readouterr().out == ""
