"""Nothing that is read can run code: what unpickles or evaluates is not there, in no source and in no loaded file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted(file for package in ("stream", "experts", "ensemble") for file in (ROOT / package).rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}


def names(node: ast.Import | ast.ImportFrom) -> set[str]:
    found = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.partition(".")[0] for name in found}


def dangers(tree: ast.AST) -> Iterator[str]:
    """What a source does that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and (found := names(node) & MODULES):
            yield f"{node.lineno}: imports {found}"
        if not isinstance(node, ast.Call):
            continue
        said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if isinstance(node.func, ast.Name) and node.func.id in BUILT_IN:
            yield f"{node.lineno}: {node.func.id}()"
        if said.get("allow_pickle") or said.get("trust_remote_code"):
            yield f"{node.lineno}: allows code in what it reads"
        if ast.unparse(node.func) == "torch.load" and said.get("weights_only") is not True:
            yield f"{node.lineno}: torch.load without weights_only"


def test_no_source_unpickles_or_evaluates_what_it_reads() -> None:
    assert len(SOURCES) > 150
    assert {str(file): found for file in SOURCES if (found := list(dangers(ast.parse(file.read_text()))))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "eval(x)",
        "AutoModel.from_pretrained(f, trust_remote_code=True)",
    ],
)
def test_what_is_looked_for_is_found(source: str) -> None:
    assert list(dangers(ast.parse(source)))


def test_no_file_that_is_shipped_is_a_pickle() -> None:
    """A pickle of version 2 or later begins with this, also inside the zip that torch and joblib write."""
    kinds = {file.suffix for file in (ROOT / "experts" / "zoo").rglob("*") if file.is_file()}
    assert kinds == {".onnx", ".json", ".md"}
    for file in (ROOT / "experts" / "zoo").rglob("*.onnx"):
        assert file.read_bytes()[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK")
