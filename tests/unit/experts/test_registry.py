import shutil
from pathlib import Path

import numpy as np
import pytest

from experts.base import ABSTAINED, OK, Expert, Passage
from experts.errors import DeviceError, ManifestError, PanelError
from experts.fakes import InstantExpert
from experts.manifest import read_manifest
from experts.registry import ZOO, fallbacks, load_expert, load_experts, load_panel, names
from experts.session import CUDA, Session

SHIPPED = names()
# One that runs where the device says; a lexical one stays on the CPU.
NEURAL = next(name for name in SHIPPED if read_manifest(ZOO / name).kind != "lexical")


def test_a_panel_of_the_shipped_experts_answers_without_a_network() -> None:
    panel = load_panel(device="cpu")
    try:
        advice = panel.advise(
            [Passage("user", "Which trains go to Vienna tonight?"), Passage("user", "I will kill you")]
        )
    finally:
        panel.close()
    assert [name.partition("@")[0] for name in panel.ids] == list(SHIPPED)
    assert np.isin(advice.status, (OK, ABSTAINED)).all()
    awake = (advice.status == OK).all(axis=0)
    assert awake.any()
    assert advice.scores[0, awake].mean() < advice.scores[1, awake].mean()


def test_experts_come_in_the_order_in_which_they_are_named() -> None:
    experts = load_experts(chosen=SHIPPED[::-1], device="cpu")
    assert [expert.name for expert in experts] == list(SHIPPED[::-1])


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ManifestError, match=rf"no expert 'oracle' in .*, only {', '.join(SHIPPED)}"):
        load_experts(chosen=["lexical", "oracle"])


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is not a folder"):
        load_experts(tmp_path / "nowhere")


def test_an_empty_root_makes_no_panel(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="at least one expert"):
        load_panel(tmp_path)


def test_one_expert_in_two_folders_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(ZOO / "lexical", tmp_path / name)
    with pytest.raises(PanelError, match="named twice"):
        load_panel(tmp_path, device="cpu")


def gpu_is_there() -> bool:
    return load_expert(ZOO / NEURAL, "auto").session.device == "cuda"


@pytest.fixture
def without_gpu() -> None:
    if gpu_is_there():
        pytest.skip("needs a machine without a GPU")


@pytest.mark.usefixtures("without_gpu")
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error_at_load(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceError, match=r"the model of .*@.* cannot use a GPU here: install .* or set"):
        load_expert(ZOO / NEURAL, "cuda")
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("without_gpu")
def test_auto_falls_back_to_the_cpu_and_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    neural = load_expert(ZOO / NEURAL, "auto")
    experts: list[Expert] = [load_expert(ZOO / "lexical", "auto"), neural, InstantExpert()]
    assert fallbacks(experts) == {neural.id: "ONNX Runtime cannot use a GPU here"}
    assert capfd.readouterr().err == ""


def test_the_cpu_that_was_asked_for_is_no_fallback() -> None:
    assert fallbacks(load_experts(device="cpu")) == {}


def test_a_session_runs_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.session.ort.get_available_providers", lambda: ["CPUExecutionProvider"])
    session: Session = load_expert(ZOO / NEURAL, "auto").session
    assert session.device == "cpu"
    assert CUDA not in session.providers
