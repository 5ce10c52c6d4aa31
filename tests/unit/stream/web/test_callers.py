"""The file of tokens: what it may hold, and that nothing shows it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream.errors import SettingsError
from stream.settings import Settings
from stream.web import sessions
from stream.web.access import Access
from stream.web.callers import Tokens, digest_of, parse

SECRET = "a-secret-that-nobody-sees"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names nobody"),
        ("# only a comment\n", "names nobody"),
        (f"ann {SECRET}", "line 1 is no `name:token`"),
        (f"\n:{SECRET}", "line 2 is no `name:token`"),
        ("ann:", "line 1 is no `name:token`"),
        (f"ann:{SECRET}ü", "line 1 is no `name:token`"),
        ("ann:short", "line 1: its token is under 16 characters"),
        (f"ann:{SECRET} admin", "line 1: after the token may stand"),
        (f"ann:{SECRET} tenant=", "line 1: after the token may stand"),
        (f"ann:{SECRET}\nbob:{SECRET}", "ann and bob have one token"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_in_one_line_without_its_tokens(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        Tokens(path)
    line = str(refused.value)
    assert line.startswith("AEGIS_TOKENS_FILE: ")
    assert said in line or "is empty" in line
    assert "\n" not in line
    assert SECRET not in line
    assert "short" not in line


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        Tokens(tmp_path / "nowhere")
    assert "cannot be read (No such file or directory)" in str(refused.value)


def test_a_name_may_have_two_tokens_while_one_replaces_the_other() -> None:
    first, second = parse(f"ann:{SECRET}\nann:{SECRET}-new tenant=acme")
    assert first.caller.name == second.caller.name == "ann"
    assert (first.caller.tenant, second.caller.tenant) == (None, "acme")
    assert {first.digest, second.digest} == {digest_of(SECRET), digest_of(f"{SECRET}-new")}


def test_no_repr_and_no_log_line_shows_a_token(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ann:{SECRET}")
    access = Access.of(Settings(tokens_file=path), "127.0.0.1")
    assert access.tokens is not None
    entry = access.tokens.find(SECRET)
    assert entry is not None
    with capture_logs() as logs:
        path.write_text(f"{SECRET} with something else")
        assert access.tokens.find(SECRET) == entry
        assert access.tokens.find(SECRET) == entry
    assert [line["event"] for line in logs] == ["tokens_not_read"]  # once, not for every request
    shown = repr((access, access.tokens, entry, logs, sessions.issue(entry, time.time())))
    assert SECRET not in shown
    assert repr(entry.digest) not in shown


def test_a_session_is_over_after_its_time_and_is_good_for_one_name() -> None:
    ann, bob = parse(f"ann:{SECRET}\nbob:{SECRET}-of-bob")
    cookie = sessions.issue(ann, now=1000.0)
    assert sessions.holder(cookie, [bob, ann], 1000.0 + sessions.SECONDS - 1) == ann
    assert sessions.holder(cookie, [bob, ann], 1000.0 + sessions.SECONDS) is None
    assert sessions.holder(cookie, [bob], 1000.0) is None
    name, until, signature = cookie.split(".")
    assert sessions.holder(f"{name}.{int(until) + 1}.{signature}", [ann], 1000.0) is None
