"""Trains the lexical expert: logistic regression over hashed n-grams.

python -m experts.train.lexical --data DIR --out DIR
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt

from experts.calibration import Calibration
from experts.lexical import lexical_reader
from experts.manifest import Reads
from experts.train.command import one_line_errors
from experts.train.data import Example, training_examples

NAME: Final = "lexical"
VERSION: Final = "1"
SUMMARY: Final = (
    "Logistic regression over n-grams of one to two words and of two to five characters; it reads the text alone."
)
FAILURES: Final = (
    "It knows no context: quoted abuse, counter-speech, fiction and questions about a danger score like the thing.",
    "Names of groups and places that stand beside abuse in its data raise the score of harmless sentences: on "
    "HateCheck, which is made of such pairs, it is no better than chance.",
    "Instructions for harm in plain, polite words, and jailbreaks, mostly pass: no single word gives them away.",
    "English only: other languages get about the base rate.",
    "It reads the first 256 words and the first 2,048 characters.",
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


def draft(learned: Sequence[Example], c: float) -> Any:
    """The expert's files learned from these rows, as an uncalibrated `Made`."""
    from experts.train import ngrams
    from experts.train.folder import ROLES, Made
    from experts.train.quality import balanced_weights, labels

    words, characters = tokenizers([example.passage.text for example in learned])
    reader = lexical_reader(words.encode(), characters.encode(), MAX_WORDS, NAME)
    matrix = ngrams.features(reader.encode([example.passage for example in learned]))
    model, table, scale = fit(matrix, labels(learned), balanced_weights(learned, 0.5), c)
    onnx = ngrams.build(table, scale, float(model.intercept_[0])).SerializeToString()
    files = {"model.onnx": onnx, "tokenizer.json": words.encode(), "characters.json": characters.encode()}
    reads = Reads(roles=ROLES, history=False, max_tokens=MAX_WORDS)
    return Made(NAME, VERSION, "lexical", SUMMARY, files, reads, Calibration())


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder that holds train/ and dev/.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The expert's folder to write.")
@click.option("--c", type=float, default=C, show_default=True, help="Inverse strength of the L2 penalty.")
@one_line_errors("sklearn", "scipy", "onnx")
def main(data: Path, out: Path, c: float) -> None:
    """Train the lexical expert, calibrate it, and write its folder and card."""
    from experts.train.folder import Story, finish

    learned, held_out = training_examples(data, SEED)
    click.echo(f"learning from {len(learned)} rows, {len(held_out)} are held out", err=True)
    how = (
        f"Learned from {len(learned)} rows of the sets below, each set and class weighing as the square root of its "
        f"rows, unsafe and safe the same in all (seed {SEED}, C {c}). {len(held_out)} rows were held out to calibrate."
    )
    command = "python -m experts.train.lexical --data DIR --out experts/zoo/lexical"
    finish(out, draft(learned, c), held_out, data, Story(how, FAILURES, command))


if __name__ == "__main__":
    main()
