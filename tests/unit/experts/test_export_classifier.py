"""Classifiers of random weights, from the folder that transformers saves to the expert that is served. Needs the extra
`train`."""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.base import Passage
from experts.checks import check
from experts.errors import ExportError
from experts.export.wish import Labelled, Wish
from experts.progress import silent
from experts.registry import load_expert
from experts.texts import SHORT
from support import tiny_models

pytestmark = pytest.mark.train
REASON = "needs the extra `train`: make setup-train"
onnx = pytest.importorskip("onnx", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)
pytest.importorskip("optimum.exporters.onnx", reason=REASON)

PRECISIONS = ("fp32", "int8-stored", "fp16")
TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def added(model: Path, out: Path, **how: Any) -> Any:
    from experts.export import origin
    from experts.export.classifier import add_classifier

    out.mkdir()
    return add_classifier(origin.inspect(model), out, Wish("x", **how), silent)


def hugging_face(folder: Path, text: str) -> Any:
    """The logits that transformers gives, with its own tokenizer and nothing of ours, float32[C]."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encoded = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    if "token_type_ids" not in inspect.signature(model.forward).parameters:
        encoded.pop("token_type_ids", None)
    with torch.inference_mode():
        return model(**encoded).logits[0].numpy()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_every_family_is_exported_in_every_precision_and_agrees_with_pytorch(
    tmp_path: Path, family: str, precision: Any
) -> None:
    tiny_models.classifier(tmp_path / "model", family)
    found = added(tmp_path / "model", tmp_path / "x", precision=precision)
    assert found.parity.logits <= {"fp32": 1e-5, "int8-stored": 1e-5, "fp16": 5e-3}[precision]
    assert (found.parity.shift > 1e-5) == (precision != "fp32")
    expert = load_expert(tmp_path / "x", "cpu")
    logits = np.array([hugging_face(tmp_path / "model", text) for text in SHORT[4:12]])
    expected = logits[:, 1] - logits[:, 0]
    served = expert.logits([Passage("user", text) for text in SHORT[4:12]])
    assert served == pytest.approx(expected, abs=1e-5 if precision == "fp32" else 0.05)
    assert float(np.ptp(served)) > 1e-3
    assert len(list(check(tmp_path / "x"))) == 4


def test_int8_stores_a_byte_a_weight_of_what_pytorch_multiplies_with(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model")
    for precision in ("fp32", "int8-stored"):
        added(tmp_path / "model", tmp_path / precision, precision=precision)
    plain, small = ((tmp_path / name / "model.onnx").stat().st_size for name in ("fp32", "int8-stored"))
    matrices = sum(
        tensor.dims[0] * tensor.dims[1]
        for tensor in onnx.load(tmp_path / "int8-stored" / "model.onnx").graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    )
    assert matrices > 30_000
    assert plain - small == pytest.approx(3 * matrices, rel=0.1)


def test_the_risks_of_a_model_of_several_labels_are_served(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model", labels=TOXIC, problem="multi_label_classification")
    found = added(tmp_path / "model", tmp_path / "x", precision="fp32")
    assert (found.manifest.outputs, len(found.manifest.labels)) == ("sigmoid", 6)
    logits = hugging_face(tmp_path / "model", SHORT[5])
    opinion = load_expert(tmp_path / "x", "cpu").opine([Passage("user", SHORT[5])])
    assert opinion.scores[0] == pytest.approx(1 / (1 + np.exp(-max(logits[:2]))), abs=1e-5)
    assert opinion.risks is not None
    assert int(np.isfinite(opinion.risks).sum()) == 4


def test_a_reply_is_read_as_a_pair_with_what_it_answers(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model")
    added(tmp_path / "model", tmp_path / "x", precision="fp32", history=True, roles=("assistant",))
    expert = load_expert(tmp_path / "x", "cpu")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    with torch.inference_mode():
        logits = model(**tokenizer(SHORT[6], SHORT[7], return_tensors="pt")).logits[0].numpy()
    replies = [Passage("assistant", SHORT[7], (("user", SHORT[6]),)), Passage("user", SHORT[7])]
    found = expert.logits(replies)
    assert found[0] == pytest.approx(logits[1] - logits[0], abs=1e-5)
    assert np.isnan(found[1])


def test_labelled_turns_calibrate_and_the_card_says_how_good_the_expert_is(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model")
    plain = added(tmp_path / "model", tmp_path / "plain", precision="fp32")
    passages = [Passage("user", f"{text} {place}") for place in range(6) for text in SHORT[4:16]]
    logits = load_expert(tmp_path / "plain", "cpu").logits(passages)
    noise = np.random.default_rng(5).normal(size=len(logits)) * np.std(logits)
    unsafe = logits + noise > np.median(logits)
    found = added(tmp_path / "model", tmp_path / "x", precision="fp32", labelled=Labelled("turns", passages, unsafe))
    assert plain.worth is None
    assert "Not calibrated" in (tmp_path / "plain" / "README.md").read_text()
    assert found.worth.auroc > 0.6
    assert (
        f"| {len(passages)} | {int(unsafe.sum())} | {found.worth.auprc:.3f} |"
        in (tmp_path / "x" / "README.md").read_text()
    )
    assert found.manifest.calibration.scale > 0
    assert found.manifest.version == plain.manifest.version
    scores = load_expert(tmp_path / "x", "cpu").advise(passages)
    scale, bias = found.manifest.calibration.scale, found.manifest.calibration.bias
    assert scores == pytest.approx(1 / (1 + np.exp(-(scale * logits + bias))), abs=1e-5)


def test_the_same_model_makes_the_same_files_and_other_weights_another_version(tmp_path: Path) -> None:
    module = tiny_models.classifier(tmp_path / "model", "distilbert")
    first, second = (added(tmp_path / "model", tmp_path / name).manifest for name in ("a", "b"))
    with torch.no_grad():
        module.classifier.bias[1] += 1.0
    module.save_pretrained(tmp_path / "model")
    assert first == second
    assert added(tmp_path / "model", tmp_path / "c").manifest.version != first.version


def test_roberta_reads_as_many_tokens_as_it_has_positions_behind_the_padding(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model", "roberta")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert added(tmp_path / "model", tmp_path / "x").manifest.reads.max_tokens == config["max_position_embeddings"] - 2


def test_more_tokens_than_the_model_can_read_are_refused(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model")
    with pytest.raises(ExportError, match="reads at most 64 tokens, not 65"):
        added(tmp_path / "model", tmp_path / "x", max_tokens=65)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model", vocabulary=100)
    with pytest.raises(ExportError, match=r"gives ids up to \d+, the model embeds only 100"):
        added(tmp_path / "model", tmp_path / "x")


def test_a_model_whose_head_was_never_trained_is_refused(tmp_path: Path) -> None:
    module = tiny_models.classifier(tmp_path / "model")
    module.bert.save_pretrained(tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (tmp_path / "bare" / name).write_bytes((tmp_path / "model" / name).read_bytes())
    with pytest.raises(
        ExportError, match=r"lacks 2 weights of a BertForSequenceClassification, such as classifier\.bias"
    ):
        added(tmp_path / "bare", tmp_path / "x")


def test_weights_that_are_no_safetensors_are_refused_in_one_line(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ExportError, match=r"cannot be read \(.*download the model again") as refused:
        added(tmp_path / "model", tmp_path / "x")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_gives_no_numbers_is_refused(tmp_path: Path, value: float) -> None:
    module = tiny_models.classifier(tmp_path / "model")
    with torch.no_grad():
        module.classifier.bias[1] = value
    module.save_pretrained(tmp_path / "model")
    with pytest.raises(ExportError, match=r"NaN or infinity on (\d+) of \1 texts"):
        added(tmp_path / "model", tmp_path / "x", precision="fp32")


def test_an_export_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experts.export.pytorch import pytorch_logits

    tiny_models.classifier(tmp_path / "model")
    monkeypatch.setattr(
        "experts.export.classifier.pytorch_logits", lambda module, feeds: pytorch_logits(module, feeds) + 2e-4
    )
    with pytest.raises(ExportError, match=r"differs from PyTorch by 2\.0e-04 in a logit, fp32 allows 1e-04"):
        added(tmp_path / "model", tmp_path / "x", precision="fp32")
    assert not (tmp_path / "x" / "manifest.json").exists()


def test_given_texts_are_compared_besides_the_built_in_ones(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model", "distilbert")
    few = added(tmp_path / "model", tmp_path / "a", precision="fp32").parity.texts
    more = added(tmp_path / "model", tmp_path / "b", precision="fp32", texts=["one more", "and another"]).parity.texts
    assert more == few + 2


def test_numbers_that_become_indices_stay_exact_in_half_precision(tmp_path: Path) -> None:
    from experts.export.halves import halved, index_nodes
    from experts.export.pytorch import content_of, traced

    module = tiny_models.classifier(tmp_path / "model", "mpnet")
    content = content_of(traced(module))
    made = {output: node for node in onnx.load_from_string(halved(content)).graph.node for output in node.output}
    logarithms = [node for node in made.values() if node.op_type == "Log"]
    assert logarithms
    assert all(made[node.input[0]].attribute[0].i == onnx.TensorProto.FLOAT for node in logarithms)
    assert index_nodes(onnx.load_from_string(content).graph)
