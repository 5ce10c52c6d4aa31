from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream.errors import SettingsError
from stream.settings import Settings

SECRET = "a-canary-of-a-secret"
SCRAM = {
    "security_protocol": "sasl_ssl",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "worker",
    "sasl_password": SECRET,
}
MUTUAL = {"security_protocol": "ssl", "ssl_cert_file": "c.pem", "ssl_key_file": "k.pem"}
TOKEN = {"security_protocol": "sasl_ssl", "sasl_mechanism": "OAUTHBEARER", "sasl_token_file": "token"}
GRANTED = {
    "security_protocol": "sasl_ssl",
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_token_url": "https://login.example/token",
    "sasl_username": "worker",
    "sasl_password": SECRET,
}


def without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


@pytest.mark.parametrize("settings", [SCRAM, MUTUAL, TOKEN, GRANTED, {"security_protocol": "SSL"}])
def test_what_goes_together_is_taken(settings: dict[str, Any]) -> None:
    assert Settings.load(**settings).security_protocol == settings["security_protocol"].lower()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (without(SCRAM, "security_protocol"), "AEGIS_SASL_MECHANISM needs AEGIS_SECURITY_PROTOCOL=sasl_ssl (it is"),
        ({"sasl_password": SECRET}, "AEGIS_SASL_PASSWORD needs AEGIS_SECURITY_PROTOCOL=sasl_ssl"),
        ({"ssl_ca_file": "ca.pem"}, "AEGIS_SSL_CA_FILE needs AEGIS_SECURITY_PROTOCOL=ssl or sasl_ssl (it"),
        ({"security_protocol": "sasl_ssl"}, "AEGIS_SECURITY_PROTOCOL=sasl_ssl needs AEGIS_SASL_MECHANISM"),
        (without(SCRAM, "sasl_username"), "AEGIS_SASL_MECHANISM=SCRAM-SHA-512 needs a user: set AEGIS_SASL_USERNAME"),
        (without(SCRAM, "sasl_password"), "AEGIS_SASL_MECHANISM=SCRAM-SHA-512 needs a password: set AEGIS_SASL_P"),
        ({**SCRAM, "sasl_password_file": "p"}, "AEGIS_SASL_PASSWORD and AEGIS_SASL_PASSWORD_FILE are both set"),
        ({**SCRAM, "sasl_token_file": "t"}, "AEGIS_SASL_TOKEN_FILE needs AEGIS_SASL_MECHANISM=OAUTHBEARER (it is"),
        ({**SCRAM, "sasl_mechanism": "GSSAPI"}, "AEGIS_SASL_MECHANISM: Input should be 'PLAIN', 'SCRAM-SHA-256'"),
        (without(TOKEN, "sasl_token_file"), "AEGIS_SASL_MECHANISM=OAUTHBEARER needs a token: set AEGIS_SASL_TOKEN"),
        ({**TOKEN, "sasl_token_url": "https://x"}, "AEGIS_SASL_TOKEN_FILE and AEGIS_SASL_TOKEN_URL are both set"),
        ({**TOKEN, "sasl_username": "x"}, "AEGIS_SASL_USERNAME is not used with AEGIS_SASL_TOKEN_FILE: unset it"),
        ({**GRANTED, "sasl_token_url": "http://login.example/token"}, "AEGIS_SASL_TOKEN_URL must begin with https://"),
        (without(GRANTED, "sasl_password"), "AEGIS_SASL_TOKEN_URL needs a password: set AEGIS_SASL_PASSWORD_FILE"),
        (without(MUTUAL, "ssl_cert_file"), "AEGIS_SSL_KEY_FILE is of a certificate that is not given: set AEGIS"),
        (
            {**MUTUAL, "ssl_key_password": SECRET, "ssl_key_password_file": "p"},
            "AEGIS_SSL_KEY_PASSWORD and AEGIS_SSL_KEY_PASSWORD_FILE are both set",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(**settings)
    line = str(refused.value)
    assert line.startswith(says)
    assert "\n" not in line


def test_nothing_that_shows_settings_or_an_error_of_theirs_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(**SCRAM, ssl_cert_file="c", ssl_key_password=SECRET)
    dumps = [repr(settings.model_dump()), settings.model_dump_json(), repr(vars(settings))]
    shown = [repr(settings), str(settings), *dumps]
    for name, value in {**SCRAM, "partitions": 0}.items():
        monkeypatch.setenv(f"AEGIS_{name.upper()}", str(value))
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    error: BaseException | None = refused.value
    while error is not None:
        shown += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    assert len(shown) > 7
    assert not [text for text in shown if SECRET in text]


def test_a_child_process_gets_the_secrets_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.load(**SCRAM, ssl_cert_file="c", ssl_key_password=SECRET)
    environment = given.environment()
    assert {name for name, value in environment.items() if SECRET in value} == {
        "AEGIS_SASL_PASSWORD",
        "AEGIS_SSL_KEY_PASSWORD",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == given


def test_a_password_in_a_file_is_handed_on_as_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    environment = Settings.load(**without(SCRAM, "sasl_password"), sasl_password_file=file).environment()
    assert environment["AEGIS_SASL_PASSWORD_FILE"] == str(file)
    assert SECRET not in json.dumps(environment)
