"""A guard on a GPU: what a machine without one cannot show."""

from pathlib import Path

import pytest

from experts.base import Passage
from experts.registry import load_expert
from support.guards import byte_level, causal_model, decided, save_guard

pytestmark = [pytest.mark.gpu, pytest.mark.train]
PASSAGES = [Passage("user", "hello " * count) for count in range(1, 9)] + [Passage("assistant", "fine")]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 1e-2)])
def test_a_guard_says_on_a_gpu_what_it_says_on_a_cpu(tmp_path: Path, precision: str, tolerance: float) -> None:
    pytest.importorskip("torch", reason="needs the extra `train`: make setup-train")
    from experts.export.guard import add_guard
    from experts.export.guard_store import Precision

    chosen: Precision = "fp16" if precision == "fp16" else "fp32"
    save_guard(tmp_path / "model", decided(causal_model()), byte_level())
    add_guard(tmp_path / "model", tmp_path / "tiny", name="tiny", precision=chosen, texts=["a"], max_tokens=64)
    here, there = load_expert(tmp_path / "tiny", "cpu"), load_expert(tmp_path / "tiny", "cuda")
    assert (here.session.device, there.session.device) == ("cpu", "cuda")
    assert there.advise(PASSAGES) == pytest.approx(here.advise(PASSAGES), abs=tolerance)
    assert [float(there.advise([passage])[0]) for passage in PASSAGES] == pytest.approx(
        there.advise(PASSAGES).tolist(), abs=tolerance
    )
