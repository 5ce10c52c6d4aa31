from __future__ import annotations

import ast
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaClient

import stream
from stream import connection
from stream.connection import FIELDS, Credentials, secure
from stream.errors import SettingsError
from stream.settings import Settings
from support.authority import Authority

CLIENTS = {"AIOKafkaClient", "AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "create_conn"}
OWNERS = {"connection.py": CLIENTS - {"AIOKafkaClient", "create_conn"}, "refusals.py": {"create_conn"}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.new(tmp_path_factory.mktemp("connection") / "authority")
    made.sign("worker")
    return made


def scram(authority: Authority, **fields: Any) -> Settings:
    common = {"security_protocol": "sasl_ssl", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "worker"}
    return Settings.load(**{**common, "ssl_ca_file": authority.ca, **fields})


def mutual(authority: Authority, **fields: Any) -> Settings:
    files = {"ssl_cert_file": authority.certificate("worker"), "ssl_key_file": authority.key("worker")}
    return Settings.load(**{"security_protocol": "ssl", "ssl_ca_file": authority.ca, **files, **fields})


def refusal(settings: Settings) -> str:
    with pytest.raises(SettingsError) as refused:
        Credentials.checked(settings)
    line = str(refused.value)
    assert "\n" not in line
    return line


def calls(file: Path) -> set[str]:
    """Which of aiokafka's clients a file makes."""
    tree = ast.parse(file.read_text())
    names = (getattr(node.func, "id", "") for node in ast.walk(tree) if isinstance(node, ast.Call))
    return CLIENTS & set(names)


def test_every_client_is_made_by_one_module() -> None:
    files = Path(stream.__file__).parent.rglob("*.py")
    assert {file.name: made for file in files if (made := calls(file))} == OWNERS


async def test_a_secured_client_reads_what_it_connects_with_anew(authority: Authority, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("one\n")
    client = AIOKafkaClient()
    secure(client, scram(authority, sasl_password_file=password))
    assert (client._security_protocol, client._sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (client._sasl_plain_username, client._sasl_plain_password) == ("worker", "one")
    password.write_text("two\n")
    assert client._sasl_plain_password == "two"


async def test_every_field_that_is_read_anew_is_one_that_aiokafka_has() -> None:
    assert {f"_{field}" for field in FIELDS} <= vars(AIOKafkaClient()).keys()


async def test_without_security_a_client_is_left_as_it_is() -> None:
    client = AIOKafkaClient()
    secure(client, Settings.load())
    assert type(client) is AIOKafkaClient


def test_certificate_and_host_name_are_checked_always(authority: Authority) -> None:
    every = (mutual(authority), scram(authority, sasl_password="x"), Settings.load(security_protocol="ssl"))
    for context in (Credentials(settings).ssl_context for settings in every):
        assert context is not None
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_alone_is_trusted(authority: Authority) -> None:
    context = Credentials(mutual(authority)).ssl_context
    assert context is not None
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "authority"),),)]


def test_renewed_certificates_are_used_from_then_on_and_the_others_kept(authority: Authority) -> None:
    credentials = Credentials(mutual(authority))
    before = credentials.ssl_context
    assert credentials.ssl_context is before
    authority.sign("worker")
    assert credentials.ssl_context is not before


def test_an_encrypted_key_is_opened_with_its_password_and_nobody_is_asked(authority: Authority, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    given = ("openssl", "pkey", "-in", authority.key("worker"), "-aes256", "-passout", "pass:secret", "-out", key)
    subprocess.run(given, check=True, stdin=subprocess.DEVNULL)
    assert Credentials.checked(mutual(authority, ssl_key_file=key, ssl_key_password="secret"))
    assert refusal(mutual(authority, ssl_key_file=key)) == (
        "AEGIS_SSL_KEY_FILE is encrypted: set AEGIS_SSL_KEY_PASSWORD_FILE"
    )
    assert "AEGIS_SSL_KEY_FILE: " in refusal(mutual(authority, ssl_key_file=key, ssl_key_password="wrong"))


@pytest.mark.parametrize("name", ["ssl_ca_file", "ssl_cert_file", "ssl_key_file"])
def test_a_file_that_is_missing_or_no_pem_is_one_line(authority: Authority, tmp_path: Path, name: str) -> None:
    missing, other = tmp_path / "missing.pem", tmp_path / "other.pem"
    other.write_text("no certificate")
    line = refusal(mutual(authority, **{name: missing}))
    assert line.startswith(f"AEGIS_{name.upper()}: {missing} cannot be read (No such file or directory): mend it")
    assert f"{other} cannot be used" in refusal(mutual(authority, **{name: other})) or name == "ssl_cert_file"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file"),
        (b"", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"x" * 70_000, "is over 65536"),
    ],
)
def test_a_password_file_that_holds_none_is_one_line(
    authority: Authority, tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    line = refusal(scram(authority, sasl_password_file=file))
    assert line.startswith(f"AEGIS_SASL_PASSWORD_FILE: {file} {says}")


def test_a_password_file_that_goes_away_later_is_a_connection_that_cannot_be_made(
    authority: Authority, tmp_path: Path
) -> None:
    """aiokafka tries again after an OSError; anything else would end the task that keeps its metadata."""
    file = tmp_path / "password"
    file.write_text("one")
    credentials = Credentials.checked(scram(authority, sasl_password_file=file))
    file.unlink()
    with pytest.raises(OSError, match="AEGIS_SASL_PASSWORD_FILE"):
        _ = credentials.sasl_plain_password


def test_a_missing_token_file_is_refused_when_a_client_is_made(tmp_path: Path) -> None:
    missing = tmp_path / "token"
    settings = Settings.load(security_protocol="sasl_ssl", sasl_mechanism="OAUTHBEARER", sasl_token_file=missing)
    assert refusal(settings).startswith(f"AEGIS_SASL_TOKEN_FILE: {missing} cannot be read")


async def test_clients_take_what_the_settings_say() -> None:
    producer = connection.producer(Settings.load(app_id="ours"), linger_ms=1)
    assert producer.client._client_id == "ours"
    await producer.stop()
