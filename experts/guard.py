"""The kind `guard`: a language model that is asked whether a conversation is safe, and answers with one token.

The model sees an instruction of hundreds of tokens before each turn of tens. Its keys and values are computed once,
when the expert is loaded, and shared by every row of every batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from experts.batching import CPU_BUDGET, CUDA_BUDGET
from experts.errors import ModelError
from experts.guard_prompt import JUDGED, PROMPT, Conversation, GuardReader, read_prompt
from experts.manifest import Manifest
from experts.served import OnnxExpert
from experts.session import Device, Session, open_session
from experts.tokenization import open_tokenizer
from experts.trunk import LINGER_ON_CUDA, Trunk

INPUTS: Final = frozenset({"input_ids", "lengths"})
OUTPUTS: Final = ("verdicts", "best")
# The part of a large model that does not fit into its ONNX file.
DATA: Final = "model.onnx.data"

# What a prompt leaves behind in each layer, by the name of the model's input; on the device.
Shared = dict[str, ort.OrtValue]


class GuardSession(Session):
    """A guard's model and the prompts that it has read: feeds are those of `GuardReader`, and the output is
    float32[N, 2], the logits of safe and unsafe; NaN where the model would rather have answered something else.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        instructions: Sequence[Sequence[int]],
        what: str,
        device: Device = "auto",
        threads: int | None = None,
    ) -> None:
        """`instructions` are by the index in JUDGED; none shared is an empty one. Errors as those of `Session`."""
        external = {name: content for name, content in files.items() if name == DATA}
        opened = open_session(files["model.onnx"], what, device, threads, external)
        self._attach(opened, what, device)
        names = [value.name for value in opened.get_inputs()]
        outputs = {value.name for value in opened.get_outputs()}
        self._past = [name for name in names if name.startswith("past.")]
        presents = {name.replace("past.", "present.", 1) for name in self._past}
        if set(names) != INPUTS | set(self._past) or not self._past or outputs != set(OUTPUTS) | presents:
            raise ModelError(f"{what} is no guard: export it again, or correct `kind` in its manifest")
        self._nothing = {value.name: self._empty(value) for value in opened.get_inputs() if value.name in self._past}
        self._shared = [self._read(ids) for ids in instructions]

    @property
    def width(self) -> int:
        """The columns of the output."""
        return 2

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """The rows' logits, float32[N, 2]; NaN in both where the likeliest answer is neither verdict."""
        verdicts, best = self.answers(feeds)
        return np.where((best > verdicts.max(axis=1))[:, None], np.float32(np.nan), verdicts)

    def answers(self, feeds: Mapping[str, npt.NDArray[Any]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The verdicts' logits, float32[N, 2], and the largest logit of the whole vocabulary, float32[N]."""
        lengths, judged = feeds["lengths"], feeds["judged"]
        verdicts, best = np.empty((len(lengths), 2), np.float32), np.empty(len(lengths), np.float32)
        for index in np.unique(judged):
            rows = np.flatnonzero(judged == index)
            ids = feeds["input_ids"][rows, : lengths[rows].max()]
            verdicts[rows], best[rows] = self._run(OUTPUTS, ids, lengths[rows], self._shared[index])
        return verdicts, best

    def _read(self, instruction: Sequence[int]) -> Shared:
        """What the model keeps of an instruction."""
        if not instruction:
            return self._nothing
        names = [name.replace("past.", "present.", 1) for name in self._past]
        ids = np.array([instruction], np.int64)
        kept = self._run(names, ids, np.array([ids.size], np.int64), self._nothing)
        return {name: self._value(values[:, 0]) for name, values in zip(self._past, kept, strict=True)}

    def _run(
        self, outputs: Sequence[str], ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], shared: Shared
    ) -> list[npt.NDArray[Any]]:
        binding = self._session.io_binding()
        binding.bind_cpu_input("input_ids", np.ascontiguousarray(ids))
        binding.bind_cpu_input("lengths", lengths)
        for name, value in shared.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        found: list[npt.NDArray[Any]] = binding.copy_outputs_to_cpu()
        return found

    def _empty(self, past: Any) -> ort.OrtValue:
        """The keys or values of no prompt; `past` describes the input."""
        shape = [length if isinstance(length, int) else 0 for length in past.shape]
        return self._value(np.zeros(shape, np.float16 if past.type == "tensor(float16)" else np.float32))

    def _value(self, values: npt.NDArray[Any]) -> ort.OrtValue:
        """The values where the model runs, so that they are not copied there for each batch."""
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), self.device, 0)


def guard(
    manifest: Manifest, files: Mapping[str, bytes], device: Device, threads: int | None
) -> OnnxExpert[Conversation]:
    """The expert of a checked folder. ModelError or DeviceError, in one line."""
    reads, what = manifest.reads, f"{PROMPT} of {manifest.id}"
    prompt = read_prompt(files[PROMPT], what)
    tokenizer = open_tokenizer(files["tokenizer.json"], reads.max_tokens, f"tokenizer.json of {manifest.id}")
    reader = GuardReader(tokenizer, prompt, reads.max_tokens, reads.history, manifest.tokens.pad)
    instructions = [prompt.instructions[role] for role in JUDGED]
    session = GuardSession(files, instructions, f"the model of {manifest.id}", device, threads)
    on_cuda = session.device == "cuda"
    budget, linger = (CUDA_BUDGET, LINGER_ON_CUDA) if on_cuda else (CPU_BUDGET, 0.0)
    return OnnxExpert(manifest, Trunk(manifest.id, reads.roles, reader, session, budget, linger))
