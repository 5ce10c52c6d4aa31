"""Webhooks that are signed by Standard Webhooks."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from stream.gateway.signatures import ID, SIGNATURE, TIMESTAMP, TOLERANCE, sign, signer
from stream.web.answers import Refusal
from stream.web.callers import Entry, Tokens, parse

# The vector that the standard's own libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
NOW = 1614265330
HEADERS = {
    ID: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    TIMESTAMP: str(NOW),
    SIGNATURE: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
OTHER = f"whsec_{base64.b64encode(b'x' * 32).decode()}"


def entries(*secrets: str) -> list[Entry]:
    return parse("\n".join(f"tool{n}:{secret} annotators=any" for n, secret in enumerate(secrets)))


def test_the_vector_of_the_standard_is_taken_and_made() -> None:
    caller = signer(HEADERS, BODY, entries(OTHER, SECRET), NOW)
    assert (caller.name, caller.names_annotators) == ("tool1", True)
    key = entries(SECRET)[0].key
    assert key is not None
    assert sign(key, HEADERS[ID], NOW, BODY) == HEADERS[SIGNATURE]


def test_one_right_signature_among_several_is_enough() -> None:
    several = {**HEADERS, SIGNATURE: f"v1a,AAAA v1,%%% v1,AAAA {HEADERS[SIGNATURE]}"}
    assert signer(several, BODY, entries(SECRET), NOW).name == "tool0"


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (HEADERS, BODY + b" ", NOW),
        ({**HEADERS, ID: "msg_other"}, BODY, NOW),
        ({**HEADERS, ID: ""}, BODY, NOW),
        ({**HEADERS, TIMESTAMP: str(NOW + 1)}, BODY, NOW),
        ({**HEADERS, TIMESTAMP: "now"}, BODY, NOW),
        ({**HEADERS, TIMESTAMP: "nan"}, BODY, NOW),
        ({**HEADERS, TIMESTAMP: "9" * 400}, BODY, NOW),
        ({ID: HEADERS[ID], SIGNATURE: HEADERS[SIGNATURE]}, BODY, NOW),
        ({**HEADERS, SIGNATURE: ""}, BODY, NOW),
        ({**HEADERS, SIGNATURE: HEADERS[SIGNATURE].removeprefix("v1,")}, BODY, NOW),
        ({**HEADERS, SIGNATURE: f"v1,{'A' * 43}="}, BODY, NOW),
        ({**HEADERS, SIGNATURE: "v1,A " * 8 + HEADERS[SIGNATURE]}, BODY, NOW),
        (HEADERS, BODY, NOW + TOLERANCE + 1),
        (HEADERS, BODY, NOW - TOLERANCE - 1),
    ],
)
def test_what_was_changed_made_up_or_kept_too_long_is_refused(headers: dict[str, str], body: bytes, now: float) -> None:
    with pytest.raises(Refusal) as refused:
        signer(headers, body, entries(SECRET), now)
    assert refused.value.status == 401


def test_another_secret_or_none_takes_nothing() -> None:
    for known in (entries(OTHER), entries("a-token-that-is-sent"), []):
        with pytest.raises(Refusal):
            signer(HEADERS, BODY, known, NOW)


@pytest.mark.parametrize("secret", ["whsec_????????????????????", "whsec_c2hvcnQtaXNoLWtleQ=="])
def test_a_secret_that_is_none_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="line 1: after whsec_ stand 24 bytes or more in base64") as refused:
        parse(f"tool:{secret}")
    assert secret not in str(refused.value)


def test_a_secret_that_signs_lets_nobody_in_when_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"tool:{SECRET}\nann:a-token-that-is-sent\n")
    tokens = Tokens(path)
    assert tokens.find(SECRET) is None
    assert tokens.find("a-token-that-is-sent") is not None
    assert repr(tokens.entries()).count("Entry") == 2
    assert "MfKQ" not in repr(tokens.entries())
    key = tokens.entries()[0].key
    assert key is not None
    assert repr(key) not in repr(tokens.entries())
