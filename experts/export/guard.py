"""Makes an expert of a guard: adapters merged, the prompt in token ids, the graph cut to the verdict, and all of it
compared with PyTorch before it may be served. Needs the extra `train`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from tokenizers import Tokenizer

from experts.base import Passage
from experts.batching import CPU_BUDGET, plan
from experts.calibration import Calibration
from experts.errors import ExportError
from experts.export.calibrating import Worth, calibrated
from experts.export.folder import CARD
from experts.export.guard_graph import Array, build
from experts.export.guard_model import (
    ModelWeights,
    load_model,
    load_tokenizer,
    longest,
    reference,
    shape_of,
    without_special,
)
from experts.export.guard_store import LARGEST_INLINE, TRAINED, Precision, Store
from experts.export.wish import Labelled
from experts.guard import DATA, GuardSession
from experts.guard_policy import Policy
from experts.guard_prompt import JUDGED, PROMPT, GuardReader, Prompt, make_prompt
from experts.manifest import MANIFEST, VERSION, Label, Manifest, Platt, Reads, Source, Tokens
from experts.registry import load_expert
from experts.texts import neutral

# The most that P(unsafe | safe or unsafe), and the share of the verdicts against the likeliest answer, may differ from
# PyTorch's with the same weights.
TOLERANCES: Final[dict[Precision, float]] = {"fp32": 1e-4, "fp16": 1e-2, "int8-stored": 1e-4}
# The most that P may move on the average because weights are stored as int8.
SHIFT: Final = 0.05
# Texts compared: PyTorch reads the whole prompt anew for each, a second a billion parameters.
COMPARED: Final = 24


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the exported guard is from PyTorch on N texts, as probabilities: at most with the same weights, and on
    the average and at most with the weights as they were before they were rounded; and on how many it abstains.
    """

    texts: int
    abstained: int
    same_weights: float
    mean: float
    most: float


class Learned(msgspec.Struct, frozen=True):
    """The prompt that adapters learned with, from the file `TRAINED` beside them."""

    reading: Policy
    policy: str | None = None
    style: str | None = None


def add_guard(
    path: Path,
    out: Path,
    *,
    name: str,
    reading: Policy = "permissive",
    lora: Path | None = None,
    precision: Precision = "fp32",
    version: str = "1",
    policy: str | None = None,
    style: str | None = None,
    answers: tuple[str, str] = ("safe", "unsafe"),
    roles: Sequence[str] = ("user", "assistant"),
    max_tokens: int = 512,
    licence: str = "not stated",
    texts: Sequence[str] | None = None,
    labelled: Labelled | None = None,
) -> Difference:
    """Write the expert's folder `out`, which is empty or not there yet, from the causal language model in `path`.

    `policy` replaces the list of categories where the model was trained with another wording, `style` is one of
    `experts.guard_prompt.STYLES`; adapters that we trained say both. `texts` are compared on and `labelled` turns
    calibrate; without them a list of neutral texts and the model's own probabilities are used. ExportError or
    ModelError if the model cannot be a guard, or differs from PyTorch by more than `TOLERANCES` and `SHIFT`; then there
    is no manifest, so the folder never loads.
    """
    with steps("reading the model", "writing the graph", "comparing with PyTorch", "calibrating") as step:
        step()
        learned = what_was_learned(lora, reading)
        model, tokenizer = load_model(path, lora), load_tokenizer(path)
        prompt = make_prompt(tokenizer, reading, policy or learned.policy, style or learned.style, answers)
        refuse_too_long(prompt, max_tokens, longest(model.config))
        step()
        files = write_files(out, model, prompt, without_special(tokenizer), precision)
        step()
        reads = Reads(roles=tuple(roles), history=True, max_tokens=max_tokens)
        passages = [conversation(text, row) for row, text in enumerate(texts or neutral(max_tokens))]
        difference = compared(out, model, prompt, reads, precision, spread(passages, COMPARED))
        del model
        step()
        labels = (Label(answers[0], "safe"), Label(answers[1], "unsafe"))
        summary = f"{path.name}, asked for its verdict on the {reading} reading of the policy, in {precision}."
        sources = tuple(Source(folder.name, licence) for folder in (path, lora) if folder)
        draft = Manifest(
            VERSION, name, version, "guard", summary, files, reads, Platt(1.0, 0.0), labels, Tokens(), licence, sources,
            outputs="softmax",
        )  # fmt: skip
        write_manifest(out, draft)
        worth = None if labelled is None else calibrate(out, draft, labelled)
        (out / CARD).write_text(card(draft, prompt, difference, labelled, worth), encoding="utf-8")
    return difference


def what_was_learned(lora: Path | None, reading: Policy) -> Learned:
    """What our training says of the adapters, if they are ours. ExportError if they learned another reading than they
    are to be asked for.
    """
    if lora is None or not (lora / TRAINED).is_file():
        return Learned(reading)
    learned = msgspec.json.decode((lora / TRAINED).read_bytes(), type=Learned)
    if learned.reading != reading:
        raise ExportError(f"{lora} has learned the {learned.reading} reading: add it with --reading {learned.reading}")
    return learned


def refuse_too_long(prompt: Prompt, max_tokens: int, room: int) -> None:
    """ExportError if the longest conversation and what stands around it are more than the model can read."""
    around = max(len(prompt.instructions[role]) + len(prompt.closings[role]) for role in prompt.closings)
    if around + max_tokens > room:
        raise ExportError(
            f"the prompt takes {around} tokens and the conversation up to {max_tokens}, the model reads {room}: "
            "allow fewer tokens, or give a shorter policy"
        )


def write_files(out: Path, model: Any, prompt: Prompt, tokenizer: str, precision: Precision) -> dict[str, str]:
    """Write everything but manifest and card; the sha256 by file name."""
    out.mkdir(parents=True, exist_ok=True)
    weights = ModelWeights(model)
    size = weights.parameters() * {"fp32": 4, "fp16": 2, "int8-stored": 1}[precision]
    store = Store(out if size > LARGEST_INLINE else None)
    graph = build(shape_of(model), weights, store, precision, (prompt.safe, prompt.unsafe))
    contents = {
        "model.onnx": graph.SerializeToString(),
        "tokenizer.json": tokenizer.encode(),
        PROMPT: msgspec.json.encode(prompt) + b"\n",
    }
    for file, content in contents.items():
        (out / file).write_bytes(content)
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    return digests if store.digest is None else digests | {DATA: store.digest}


def write_manifest(out: Path, manifest: Manifest) -> None:
    """Write the manifest, with which the folder becomes an expert."""
    (out / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def conversation(text: str, row: int) -> Passage:
    """Every third text is read as a reply to another."""
    return Passage("user", text) if row % 3 else Passage("assistant", text, (("user", "What do you think of this?"),))


def spread(passages: Sequence[Passage], count: int) -> list[Passage]:
    """At most `count` of the passages, from the whole of the list."""
    return list(passages[:: max(1, -(-len(passages) // count))])


def compared(
    out: Path, model: Any, prompt: Prompt, reads: Reads, precision: Precision, passages: Sequence[Passage]
) -> Difference:
    """How the files in `out` differ from the model, which is left with the weights as they are stored. ExportError if
    that is too much.
    """
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    reader = GuardReader(tokenizer, prompt, reads.max_tokens, reads.history)
    rows = [row for row in reader.encode(passages) if len(row)]
    files = {file: (out / file).read_bytes() for file in ("model.onnx", DATA) if (out / file).exists()}
    session = GuardSession(files, [prompt.instructions[role] for role in JUDGED], "the exported guard", "cpu")
    served = np.empty((2, len(rows)), np.float32)
    for batch in plan([len(row) for row in rows], CPU_BUDGET):
        served[:, batch] = shares(*session.answers(reader.feeds([rows[index] for index in batch])))
    prompts, verdicts = [[*prompt.instructions[row.judged], *row.ids] for row in rows], (prompt.safe, prompt.unsafe)
    before = np.stack(shares(*reference(model, prompts, verdicts)))
    after = before
    if precision == "int8-stored":
        ModelWeights(model).round()
        after = np.stack(shares(*reference(model, prompts, verdicts)))
    same, moved = np.abs(served - after), np.abs(served - before)[0]
    difference = Difference(
        len(rows), int((served[1] < 1).sum()), float(same.max()), float(moved.mean()), float(moved.max())
    )
    refuse_different(difference, precision)
    return difference


def shares(verdicts: Array, best: Array) -> tuple[Array, Array]:
    """P(unsafe | safe or unsafe), and the likelier verdict's probability over that of the likeliest answer; both in
    [0, 1], so that one tolerance does for both.
    """
    unsafe = Calibration().probabilities(verdicts[:, 1] - verdicts[:, 0])
    return unsafe, np.exp(np.minimum(0, verdicts.max(axis=1) - best))


def refuse_different(difference: Difference, precision: Precision) -> None:
    """ExportError if the export is further from PyTorch than may be; a NaN is."""
    if not difference.same_weights <= TOLERANCES[precision]:
        raise ExportError(
            f"the exported guard differs from PyTorch by {difference.same_weights:.1e}, more than "
            f"{TOLERANCES[precision]:.0e}: try --precision fp32, and if it stays, report the model's family"
        )
    if not difference.mean <= SHIFT:
        raise ExportError(
            f"storing the weights as int8 moves its probabilities by {difference.mean:.3f} on the average, more than "
            f"{SHIFT}: use --precision fp16 or fp32"
        )


def calibrate(out: Path, draft: Manifest, labelled: Labelled) -> Worth:
    """Put the calibration on the turns that the guard gives a verdict on into the manifest. ExportError if it cannot be
    calibrated; then there is no manifest.
    """
    expert = load_expert(out, "cpu")
    (out / MANIFEST).unlink()
    calibration, worth = calibrated(expert.logits(labelled.passages), labelled)
    write_manifest(out, msgspec.structs.replace(draft, calibration=Platt(calibration.scale, calibration.bias)))
    return worth


def told(labelled: Labelled | None, worth: Worth | None) -> str:
    """What a card says of the probabilities."""
    if labelled is None or worth is None:
        return "Not calibrated: the model's own."
    return (
        f"Platt scaling on the {worth.rows} turns of {labelled.name} that it gave a verdict on, {worth.unsafe}\n"
        f"unsafe, to a base rate of 20 %. There: AUPRC {worth.auprc:.3f}, AUROC {worth.auroc:.3f}, at 0.5 F1 "
        f"{worth.f1:.3f} and false-positive rate {worth.false_positive_rate:.3f}."
    )


def card(
    manifest: Manifest, prompt: Prompt, difference: Difference, labelled: Labelled | None, worth: Worth | None
) -> str:
    """The card in Markdown."""
    sources = "\n".join(f"| {source.name} | {source.licence} |" for source in manifest.sources)
    return "\n".join(
        [
            f"# {manifest.name} {manifest.version}\n\n{manifest.summary}",
            "\n## How it is asked\n",
            f"The {prompt.reading} reading; {len(prompt.instructions['user'])} tokens of instruction, read once, and",
            f"at most {manifest.reads.max_tokens} of conversation. It abstains where it would rather say something",
            f"that is no verdict. Probabilities: {told(labelled, worth)}",
            "\n## The export\n",
            f"On {difference.texts} texts, against PyTorch with the same weights: probabilities differ by at most",
            f"{difference.same_weights:.1e}; against the weights as they came by {difference.mean:.1e} on the average",
            f"and {difference.most:.1e} at most. It abstained on {difference.abstained} of them.",
            f"\n## Weights and licences\n\n| source | licence |\n|---|---|\n{sources}\n",
        ]
    )


@contextmanager
def steps(*names: str) -> Iterator[Callable[[], None]]:
    """Yields a function that shows, on standard error, that the next of the steps has begun."""
    console, waiting = Console(stderr=True), iter(names)
    if not console.is_terminal:
        yield lambda: console.print(f"{next(waiting)} …")
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(names[0], total=len(names), completed=-1)
        yield lambda: progress.update(task, description=next(waiting), advance=1)
