"""Trains the lexical expert: logistic regression over hashed n-grams.

aegis experts train lexical --data DIR --out DIR
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt

from experts.lexical import lexical_reader
from experts.manifest import Reads
from experts.train.command import one_line_errors
from experts.train.data import Example, training_examples

NAME: Final = "lexical"
VERSION: Final = "2"
SUMMARY: Final = (
    "Logistic regression over n-grams of one to two words and of two to five characters; it reads the text alone."
)
FAILURES: Final = (
    "It knows no context: quoted abuse, counter-speech, fiction and questions about a danger score like the thing.",
    "Names of groups and places that stand beside abuse in its data raise the score of harmless sentences: on "
    "HateCheck, which is made of such pairs, it is no better than chance.",
    "Instructions for harm in plain, polite words, and jailbreaks, mostly pass: no single word gives them away.",
    "English only: other languages get about the base rate.",
    "It reads at most 256 words and 2,048 characters; what is longer loses its end.",
)

MAX_WORDS: Final = 256
VOCABULARY: Final = 30_000
ALPHABET: Final = 600
# A word or letter that is rarer is unknown: it teaches nothing, and it may be a person's name.
RAREST: Final = 5
SEED: Final = 20
# The inverse strength of the L2 penalty, the best of 0.1, 0.3, 1, 4 and 16 on the held-out rows.
C: Final = 4.0


def vocabulary(pieces: Iterable[str], size: int) -> dict[str, int]:
    """Ids of the `size` most frequent pieces, after padding (0) and the unknown (1); ties in alphabetical order."""
    counted = sorted(Counter(pieces).items(), key=lambda item: (-item[1], item[0]))[:size]
    kept = [piece for piece, count in counted if count >= RAREST]
    return {piece: index for index, piece in enumerate(["[PAD]", "[UNK]", *kept])}


def tokenizers(texts: Sequence[str]) -> tuple[str, str]:
    """The two tokenizer files, as JSON: words and single characters, both after NFKC and in lower case."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    fold = [normalizers.NFKC(), normalizers.Lowercase()]
    normalizer = normalizers.Sequence([*fold, normalizers.Replace(Regex(r"\s+"), " ")])
    normal = [normalizer.normalize_str(text) for text in texts]
    splitter = pre_tokenizers.Whitespace()
    pieces = (word for text in normal for word, _ in splitter.pre_tokenize_str(text))
    words = Tokenizer(models.WordLevel(vocabulary(pieces, VOCABULARY), unk_token="[UNK]"))
    words.pre_tokenizer = splitter
    letters = vocabulary((letter for text in normal for letter in text), ALPHABET)
    # Byte-pair encoding without a single merge: one id a character, and far faster than a regular expression that
    # splits them.
    characters = Tokenizer(models.BPE(letters, [], unk_token="[UNK]"))
    for tokenizer in (words, characters):
        tokenizer.normalizer = normalizer
    return words.to_str(), characters.to_str()


def quantised(coefficients: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int8], float]:
    """The weights as int8 and the scale that gives them back."""
    scale = float(np.abs(coefficients).max()) / 127
    return np.round(coefficients / scale).astype(np.int8), float(np.float32(scale))


def fit(matrix: Any, unsafe: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64], c: float) -> Any:
    """scikit-learn's logistic regression, its coefficients replaced by what is stored of them, so that both give the
    same.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, max_iter=300).fit(matrix, unsafe, weights)
    table, scale = quantised(model.coef_[0])
    model.coef_ = (table.astype(np.float64) * scale)[None]
    return model, table, scale


def files_of(learned: Sequence[Example], c: float) -> dict[str, bytes]:
    """The expert's files, learned from these rows."""
    from experts.train import ngrams
    from experts.train.quality import Labelled, balanced_weights

    words, characters = tokenizers([example.passage.text for example in learned])
    reader = lexical_reader(words.encode(), characters.encode(), MAX_WORDS, NAME)
    matrix = ngrams.features(reader.encode([example.passage for example in learned]))
    unsafe = np.array([example.unsafe for example in learned], bool)
    weights = balanced_weights(Labelled([example.source for example in learned], unsafe), 0.5)
    model, table, scale = fit(matrix, unsafe, weights, c)
    onnx = ngrams.build(table, scale, float(model.intercept_[0])).SerializeToString()
    return {"model.onnx": onnx, "tokenizer.json": words.encode(), "characters.json": characters.encode()}


def story_of(learned: int, held_out: int, c: float) -> Any:
    """What the card tells of how it was made."""
    from experts.train.folder import Story

    how = (
        f"Learned from {learned} rows of the sets below, each set and class weighing as the square root of its "
        f"rows, unsafe and safe the same in all (seed {SEED}, C {c}). {held_out} rows were held out to calibrate."
    )
    return Story(how, FAILURES, "aegis experts train lexical --data DIR --out experts/zoo/lexical")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder that holds train/ and dev/.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The expert's folder to write.")
@click.option("--c", type=float, default=C, show_default=True, help="Inverse strength of the L2 penalty.")
@one_line_errors("sklearn", "scipy", "onnx")
def main(data: Path, out: Path, c: float) -> None:
    """Train the lexical expert, calibrate it, and write its folder and card.

    \b
    Example:
      aegis experts train lexical --data ../shared/datasets --out experts/zoo/lexical
    """
    from experts.registry import load_expert
    from experts.train import folder
    from experts.train.quality import fit_calibration

    learned, held_out = training_examples(data, SEED)
    click.echo(f"learning from {len(learned)} rows, {len(held_out)} are held out", err=True)
    story = story_of(len(learned), len(held_out), c)
    reads = Reads(roles=folder.ROLES, history=False, max_tokens=MAX_WORDS)
    made = folder.Made(NAME, VERSION, "lexical", SUMMARY, files_of(learned, c), reads, story)
    folder.write(out, made)
    kept, known = folder.labelled(held_out, folder.permissive)
    logits = load_expert(out, "cpu").logits(folder.passages_of([held_out[index] for index in kept]))
    made = replace(made, calibration=fit_calibration(logits, known))
    folder.write(out, made)
    expert = load_expert(out, "cpu")
    found = {
        place: (rows, expert.advise(folder.passages_of(rows))) for place, rows in folder.places(data, held_out).items()
    }
    table = folder.measured(found, folder.permissive)
    folder.write(out, made, table)
    click.echo("\n".join(table), err=True)
