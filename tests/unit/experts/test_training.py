"""Training and export, on models small enough for a test. Needs the extra `train`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experts.base import Passage
from experts.lexical import INPUTS as LEXICAL_INPUTS
from experts.lexical import Grams, LexicalReader, lexical_reader
from experts.session import Session
from experts.train.data import Example

pytestmark = pytest.mark.train
REASON = "needs the extra `train`: make setup-train"
onnx = pytest.importorskip("onnx", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("sklearn", reason=REASON)

KIND = ("have a lovely day", "thank you, that was great", "what a nice garden", "shall we cook tonight?")
CRUEL = ("I hate you", "you stupid fool, go away", "hateful idiots, all of you", "I will hurt you tonight!")


def corpus() -> list[Example]:
    return [
        Example(Passage("user", f"{text} {number}"), unsafe, "s", f"{number}")
        for unsafe, texts in ((False, KIND), (True, CRUEL))
        for text in texts
        for number in range(5)
    ]


def reader_of(made: Any) -> LexicalReader:
    return lexical_reader(made.files["tokenizer.json"], made.files["characters.json"], 256, "test")


def test_the_onnx_graph_gives_the_logits_of_scikit_learn() -> None:
    from experts.train import lexical, ngrams

    examples = corpus()
    texts = [example.passage.text for example in examples]
    words, characters = lexical.tokenizers(texts)
    reader = lexical_reader(words.encode(), characters.encode(), 256, "test")
    rows = reader.encode([example.passage for example in examples])
    unsafe = np.array([example.unsafe for example in examples])
    model, table, scale = lexical.fit(ngrams.features(rows), unsafe, np.ones(len(rows)), 1.0)
    session = Session(
        ngrams.build(table, scale, float(model.intercept_[0])).SerializeToString(), "test", set(LEXICAL_INPUTS), "cpu"
    )
    unseen = reader.encode([Passage("user", text) for text in ("x", "hateful garden", "Ünseen ÉÉ 12 …", "a " * 900)])
    for batch in ([*rows, *unseen], [unseen[0]], [unseen[3], unseen[0]]):
        expected = model.decision_function(ngrams.features(batch))
        assert session.run(reader.feeds(batch)) == pytest.approx(expected, abs=1e-5)


def test_no_two_orders_share_their_rows() -> None:
    from experts.train import ngrams

    ids = list(range(2, 60))
    found = [set(ngrams.rows_of(ids, [hash_])) for hash_ in (*ngrams.WORD_HASHES, *ngrams.CHARACTER_HASHES)]
    assert len(set.union(*found)) > 0.99 * sum(map(len, found))


def test_the_largest_ids_do_not_overflow_the_hash() -> None:
    from experts.train import ngrams

    ids = [ngrams.CHARACTER_BASE - 1] * 5
    (hash_,) = [each for each in ngrams.CHARACTER_HASHES if each.order == 5]
    number = sum(identity * ngrams.CHARACTER_BASE**place for place, identity in enumerate(ids))  # Python's, unbounded
    expected = ((number % ngrams.P) * hash_.factor + hash_.shift) % ngrams.P % ngrams.ROWS
    assert ngrams.rows_of(ids, [hash_]).tolist() == [expected]


def test_every_character_has_one_id_whatever_its_case_or_width() -> None:
    from experts.train import lexical

    words, characters = lexical.tokenizers(["hello  world\n"] * lexical.RAREST)
    reader = lexical_reader(words.encode(), characters.encode(), 256, "test")
    (plain, wide) = reader.encode([Passage("user", "hello world"), Passage("user", "ＨＥＬＬＯ\tWORLD")])
    assert plain == wide == Grams(plain.words, plain.characters)
    assert len(plain.characters) == 11
    assert len(plain.words) == 2


def tiny() -> Any:
    """A classifier of the semantic expert's make with random weights, two layers, and 32 wide."""
    from transformers import BertConfig, BertModel

    from experts.train.finetune import Classifier

    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=30522, attn_implementation="sdpa", initializer_range=0.3, **sizes)
    return Classifier(BertModel(config, add_pooling_layer=False)).eval()


def test_the_exported_classifier_agrees_with_pytorch() -> None:
    from experts.train import export, finetune

    model = tiny()
    passages = [Passage("user", " ".join(KIND[:length])) for length in (1, 2, 3, 4)]
    passages.append(Passage("assistant", CRUEL[0], (("user", KIND[0]),)))
    rows = finetune.encoded(passages, finetune.backbone_tokenizer())
    difference = export.compare(model, export.export(model), rows)
    assert difference.same_weights < 2e-5
    assert 0 < difference.most < 0.5


def test_the_exported_classifier_is_stored_in_a_byte_a_weight() -> None:
    from experts.train import export

    model = tiny()
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert len(export.export(model)) < 1.35 * weights


def test_rounding_is_by_row_so_that_a_large_row_costs_a_small_one_nothing() -> None:
    from experts.train.export import rounded

    weights = np.array([[0.01, -0.02], [10.0, 5.0], [0.0, 0.0]], np.float32)
    small, scales = rounded(weights, 0)
    assert small * scales[:, None] == pytest.approx(weights, rel=0.01)
    transposed, other = rounded(weights.T.copy(), 1)
    assert transposed.T.tolist() == small.tolist()
    assert other.tolist() == scales.tolist()


def test_training_that_was_interrupted_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.train import finetune

    monkeypatch.setattr(finetune, "new_classifier", tiny)
    monkeypatch.setattr(finetune, "CHECKPOINT_EVERY", 0.0)
    recipe = finetune.Recipe(tokens_per_batch=64, epochs=1)
    rows = finetune.labelled(corpus(), finetune.backbone_tokenizer())
    whole = finetune.train(rows, recipe, tmp_path / "whole.pt")
    interrupted = finetune.Training(recipe, rows, tmp_path / "parts.pt").run()
    for _ in range(3):
        next(interrupted)
    resumed = finetune.Training(recipe, rows, tmp_path / "parts.pt")
    assert 0 < resumed.step < len(resumed.batches)
    for _ in resumed.run():
        pass
    for one, other in zip(whole.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_of_another_recipe_or_of_other_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.errors import TrainingError
    from experts.train import finetune

    monkeypatch.setattr(finetune, "new_classifier", tiny)
    rows = finetune.labelled(corpus(), finetune.backbone_tokenizer())
    finetune.train(rows, finetune.Recipe(epochs=1), tmp_path / "a.pt")
    for recipe, data in ((finetune.Recipe(epochs=3), rows), (finetune.Recipe(epochs=1), rows[::-1])):
        with pytest.raises(TrainingError, match="another recipe or other data: delete it"):
            finetune.Training(recipe, data, tmp_path / "a.pt")


def test_training_teaches_the_model_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experts.train import finetune

    monkeypatch.setattr(finetune, "new_classifier", tiny)
    rows = finetune.labelled(corpus(), finetune.backbone_tokenizer())
    recipe = finetune.Recipe(tokens_per_batch=64, epochs=12, learning_rate=3e-3)
    logits = finetune.logits(finetune.train(rows, recipe, tmp_path / "a.pt"), rows)
    unsafe = np.array([row.unsafe for row in rows])
    assert logits[unsafe].mean() > logits[~unsafe].mean() + 1


def test_calibration_undoes_what_was_done_to_the_logits() -> None:
    from experts.train.quality import fit_calibration

    chance = np.random.default_rng(8)
    probabilities = chance.uniform(0.01, 0.99, 40_000)
    unsafe = chance.random(len(probabilities)) < probabilities
    # The base rate of these rows is not the one that calibration aims at, so the odds are to move by that ratio.
    examples = [Example(Passage("user", str(i)), bool(label), "s", str(i)) for i, label in enumerate(unsafe)]
    logits = 3 * np.log(probabilities / (1 - probabilities)) + 2
    calibrated = fit_calibration(logits, examples).probabilities(logits)
    rate = unsafe.mean()
    odds = probabilities / (1 - probabilities) * (0.2 / 0.8) / (rate / (1 - rate))
    assert np.abs(calibrated - odds / (1 + odds)).max() < 0.02


def test_every_set_and_class_weighs_as_the_root_of_its_rows() -> None:
    from experts.train.quality import balanced_weights

    sizes = {("a", True): 16, ("b", True): 4, ("a", False): 9}
    examples = [
        Example(Passage("user", f"{number}"), unsafe, source, "g")
        for (source, unsafe), size in sizes.items()
        for number in range(size)
    ]
    weights = balanced_weights(examples, 0.2)
    assert weights.mean() == pytest.approx(1)
    assert weights[:20].sum() == pytest.approx(0.2 * 29)
    assert weights[:16].sum() == pytest.approx(2 * weights[16:20].sum())


def test_figures_count_an_abstention_as_safe() -> None:
    from experts.train.quality import figures

    found = figures(np.array([0.9, np.nan, 0.6, 0.1], np.float32), np.array([True, True, False, False]), 0.5)
    assert found.f1 == pytest.approx(2 * 1 / (2 + 2))
    assert found.false_positive_rate == 0.5
