"""Whatever an operator's environment and folders hold: a value, or one line that says which setting or file is wrong.

These lines may quote what they refuse: the operator wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experts.errors import ManifestError
from experts.manifest import read_manifest
from experts.registry import ZOO
from stream.errors import SettingsError
from stream.settings import PREFIX, Settings, seconds
from support.fuzzing import damaged, nested, spoilt_json

POLICIES: Final[dict[str, Any]] = {
    "strict": {"like": "defensive", "costs": [1, 1, 5], "thresholds": "rate", "ask": 0.5}
}
MANIFEST: Final = json.loads((ZOO / "lexical" / "manifest.json").read_text())
WORDS: Final = (
    "",
    " ",
    "7d",
    "-1s",
    "1e3",
    "NaN",
    "inf",
    "9" * 400 + "d",
    "٣h",
    "0.0ms",
    "7d7d",
    "\x00",
    "[]",
    "{}",
    "null",
)
FIXED: Final = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def names_it(error: Exception, what: str) -> None:
    said = str(error)
    assert what in said
    assert "\n" not in said


def loaded(patch: pytest.MonkeyPatch, name: str, value: str) -> Settings | None:
    """The settings with one variable set, or None where that is refused in one line that names a setting."""
    patch.setenv(name, value.replace("\x00", "0"))  # no environment can hold it
    try:
        return Settings.load()
    except SettingsError as error:
        names_it(error, PREFIX)
        return None


@given(st.sampled_from(sorted(Settings.model_fields)), st.sampled_from(WORDS) | st.text(max_size=12))
@FIXED
def test_any_value_of_any_setting_is_taken_or_refused_in_one_line(name: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if value.isprintable():
            loaded(patch, PREFIX + name.upper(), value)


@given(st.sampled_from(WORDS) | st.text(max_size=12))
@FIXED
def test_any_text_is_a_duration_or_none(text: str) -> None:
    try:
        found = seconds(text)
    except ValueError as error:
        names_it(error, "is no duration")
    else:
        assert isinstance(found, float)
        assert found >= 0


@given(
    spoilt_json(POLICIES["strict"]).map(lambda fields: b'{"strict":' + fields + b"}")
    | spoilt_json(POLICIES)
    | damaged(json.dumps(POLICIES).encode())
)
@FIXED
def test_any_policies_are_policies_or_refused_in_one_line(value: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = loaded(patch, f"{PREFIX}POLICIES", value.decode(errors="replace"))
    for policy in found.defined_policies().values() if found else ():
        assert policy.decide(0.5) in (0, 1, 2)
        assert policy.fingerprint()


@given(spoilt_json(MANIFEST) | damaged(json.dumps(MANIFEST).encode()))
@FIXED
def test_any_manifest_is_one_or_refused_with_its_path(tmp_path: Path, value: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(value)
    try:
        found = read_manifest(tmp_path)
    except ManifestError as error:
        names_it(error, str(tmp_path))
    else:
        assert all("/" not in name for name in found.files)
        found.calibrate()


def test_nesting_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_bytes(nested(b'{"a":'))
    with pytest.raises(ManifestError):
        read_manifest(tmp_path)
    for name in ("POLICIES", "TENANT_POLICIES"):
        with monkeypatch.context() as patch:
            assert loaded(patch, PREFIX + name, nested(b"[").decode()) is None
