"""Training and export, on models small enough for a test. Needs the extra `train`."""

import json
from dataclasses import dataclass
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
        Example(Passage("user", f"{text} {number}"), float(unsafe), float(unsafe), None, "s", f"{number}")
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
    """A model of the shipped experts' make with random weights, two layers, and 32 wide: two heads, of 1 and 3."""
    from transformers import BertConfig, BertModel

    from experts.train.encoder import Encoder, Model

    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=30522, attn_implementation="sdpa", initializer_range=0.3, **sizes)
    body = BertModel(config, add_pooling_layer=False)
    body.embeddings.requires_grad_(False)
    for module in body.modules():
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return Model(Encoder(body), {"one": 1, "three": 3}).eval()


def minilm() -> Any:
    from experts.train.backbones import MINILM, base_folder, open_tokenizer

    return open_tokenizer(base_folder(MINILM))[0]


@dataclass(frozen=True)
class Taught:
    """What one row of the corpus teaches: the first head all, the second nothing."""

    passage: Passage
    targets: Any
    weights: Any


def lessons() -> Any:
    from experts.train.encoder import taught

    weights = np.array([1, 0, 0, 0], np.float32)
    known = [Taught(row.passage, np.full(4, row.unsafe, np.float32), weights) for row in corpus()]
    return taught(known, minilm(), 64)


def test_the_exported_parts_agree_with_pytorch_together_and_in_one() -> None:
    from experts.train import encoder, export

    model = tiny()
    passages = [Passage("user", " ".join(KIND[:length])) for length in (1, 2, 3, 4)]
    passages.append(Passage("assistant", CRUEL[0], (("user", KIND[0]),)))
    rows = encoder.encoded(passages, minilm(), 64)
    heads = [export.export_head(head) for head in model.heads.values()]
    for body, tops in ((export.export_encoder(model), heads), (export.export_whole(model), [])):
        difference = export.compare(model, body, tops, rows, 0)
        assert difference.same_weights < 2e-5
        assert 0 < difference.most < 0.5


def test_the_exported_encoder_is_stored_in_a_byte_a_weight() -> None:
    from experts.train import export

    model = tiny()
    weights = sum(parameter.numel() for parameter in model.encoder.parameters())
    assert len(export.export_encoder(model)) < 1.35 * weights


def test_rows_of_about_one_length_are_batched_every_row_once_an_epoch() -> None:
    from experts.train.encoder import Recipe, batches, steps_of

    rows = lessons()
    found = batches(rows, Recipe(tokens_per_batch=64), 0)
    assert sorted(id(row) for batch in found for row in batch) == sorted(map(id, rows))
    assert all(len(batch) * max(map(steps_of, batch)) * 16 <= 64 for batch in found)
    assert found != batches(rows, Recipe(tokens_per_batch=64), 1)


def test_rounding_is_by_row_so_that_a_large_row_costs_a_small_one_nothing() -> None:
    from experts.export.storage import rounded

    weights = np.array([[0.01, -0.02], [10.0, 5.0], [0.0, 0.0]], np.float32)
    small, scales = rounded(weights, 0)
    assert small * scales[:, None] == pytest.approx(weights, rel=0.01)
    transposed, other = rounded(weights.T.copy(), 1)
    assert transposed.T.tolist() == small.tolist()
    assert other.tolist() == scales.tolist()


def run(recipe: Any, rows: Any, checkpoint: Path) -> Any:
    from experts.train.encoder import Training

    return Training(recipe, tiny(), rows, 0, checkpoint)


def test_training_that_was_interrupted_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.train import encoder
    from experts.train import run as runs

    monkeypatch.setattr(runs, "CHECKPOINT_EVERY", 0.0)
    recipe, rows = encoder.Recipe(tokens_per_batch=64, epochs=1), lessons()
    whole = encoder.train(recipe, tiny(), rows, 0, tmp_path / "whole.pt")
    interrupted = run(recipe, rows, tmp_path / "parts.pt").losses()
    for _ in range(3):
        next(interrupted)
    resumed = run(recipe, rows, tmp_path / "parts.pt")
    assert 0 < resumed.step < len(resumed.steps)
    for _ in resumed.losses():
        pass
    for one, other in zip(whole.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one.cpu(), other.cpu())


def test_a_checkpoint_of_another_recipe_or_of_other_data_is_refused(tmp_path: Path) -> None:
    from experts.errors import TrainingError
    from experts.train.encoder import Recipe

    rows = lessons()
    for _ in run(Recipe(epochs=1), rows, tmp_path / "a.pt").losses():
        pass
    for recipe, data in ((Recipe(epochs=3), rows), (Recipe(epochs=1), rows[::-1])):
        with pytest.raises(TrainingError, match="another recipe, data or base: delete it"):
            run(recipe, data, tmp_path / "a.pt")


def test_training_teaches_a_head_its_rows_and_leaves_alone_what_has_no_weight(tmp_path: Path) -> None:
    from experts.train import encoder

    rows, recipe = lessons(), encoder.Recipe(tokens_per_batch=64, epochs=12, learning_rate=3e-3, weight_decay=0.0)
    before = [parameter.clone() for parameter in tiny().heads["three"].parameters()]
    model = encoder.train(recipe, tiny(), rows, 0, tmp_path / "a.pt")
    logits = encoder.logits(model, rows, 0)[:, 0]
    unsafe = np.array([row.targets[0] > 0.5 for row in rows])
    assert logits[unsafe].mean() > logits[~unsafe].mean() + 1
    assert all(map(torch.equal, before, model.heads["three"].parameters()))


@pytest.mark.timeout(300)
def test_an_encoder_learns_a_users_own_turns_and_is_served(tmp_path: Path) -> None:
    from experts.registry import load_expert
    from experts.train.encoder import Recipe
    from experts.train.own import train_encoder

    lines = [
        {"text": f"{text} {number}", "text_type": "user_message"} | dict.fromkeys(("labels_0", "labels_1"), vote)
        for texts, vote in ((KIND, "Safe"), (CRUEL, "Violence"))
        for text in texts
        for number in range(60)
    ]
    data = tmp_path / "turns.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)))
    recipe = Recipe(epochs=2, layers=1, max_tokens=32, learning_rate=1e-3)
    table = train_encoder("minilm", data, tmp_path / "experts", "ours", "permissive", recipe, "MIT", tmp_path)
    assert len(table) == 2
    expert = load_expert(tmp_path / "experts" / "ours", "cpu")
    kind, cruel = expert.advise([Passage("user", text) for text in (KIND[0], CRUEL[0])])
    assert cruel > 0.5 > kind
    card = (tmp_path / "experts" / "ours" / "README.md").read_text()
    assert "held-out turns" in card
    assert KIND[0] not in card


def test_calibration_undoes_what_was_done_to_the_logits() -> None:
    from experts.train.quality import Labelled, fit_calibration

    chance = np.random.default_rng(8)
    probabilities = chance.uniform(0.01, 0.99, 40_000)
    unsafe = chance.random(len(probabilities)) < probabilities
    # The base rate of these rows is not the one that calibration aims at, so the odds are to move by that ratio.
    logits = 3 * np.log(probabilities / (1 - probabilities)) + 2
    calibrated = fit_calibration(logits, Labelled(["s"] * len(unsafe), unsafe)).probabilities(logits)
    rate = unsafe.mean()
    odds = probabilities / (1 - probabilities) * (0.2 / 0.8) / (rate / (1 - rate))
    assert np.abs(calibrated - odds / (1 + odds)).max() < 0.02


def test_every_set_and_class_weighs_as_the_root_of_its_rows() -> None:
    from experts.train.quality import Labelled, balanced_weights

    sizes = {("a", True): 16, ("b", True): 4, ("a", False): 9}
    keys = [key for key, size in sizes.items() for _ in range(size)]
    weights = balanced_weights(Labelled([source for source, _ in keys], np.array([unsafe for _, unsafe in keys])), 0.2)
    assert weights.mean() == pytest.approx(1)
    assert weights[:20].sum() == pytest.approx(0.2 * 29)
    assert weights[:16].sum() == pytest.approx(2 * weights[16:20].sum())


def test_logits_that_tell_nothing_are_not_calibrated() -> None:
    from experts.errors import TrainingError
    from experts.train.quality import Labelled, fit_calibration

    with pytest.raises(TrainingError, match="do not score higher"):
        fit_calibration(np.array([1.0, 2.0, 0.0, -1.0]), Labelled(["s"] * 4, np.array([False, False, True, True])))
