"""How a client connects to the broker: every Kafka client of this package is made, or secured, here.

A client asks for its credentials anew whenever it opens a connection, so a password, a token or a certificate that was
renewed on disk is used from the next one on. aiokafka takes them once, when a client is made: `_Secured` is its client
with those fields read anew."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from stream import parsing
from stream.errors import SettingsError
from stream.security import TLS
from stream.settings import PREFIX, Settings
from stream.tokens import FileToken, GrantedToken, read_secret

FIELDS = (
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_oauth_token_provider",
)
"""What aiokafka opens a connection with, by its names; its client keeps each with a `_` before it."""


class Credentials:
    """What one client shows the broker, and what it checks of the broker, as the settings and their files have it now.

    Raises OSError where a file cannot be used any more; `checked` says the same as SettingsError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        self._stamps: tuple[object, ...] = ()
        self._provider = _provider(settings, self._password)

    @classmethod
    def checked(cls, settings: Settings) -> Credentials:
        """Raises SettingsError, one line, for a file that cannot be used."""
        try:
            credentials = cls(settings)
            for name in FIELDS:
                getattr(credentials, name)
            if settings.sasl_token_file is not None:
                read_secret(settings.sasl_token_file, f"{PREFIX}SASL_TOKEN_FILE")
        except OSError as error:
            raise SettingsError(str(error)) from error
        return credentials

    @property
    def security_protocol(self) -> str:
        return self._settings.security_protocol.upper()

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        """The one for the files as they are now; None without TLS."""
        s = self._settings
        if s.security_protocol not in TLS:
            return None
        files = (s.ssl_ca_file, s.ssl_cert_file, s.ssl_key_file, s.ssl_key_password_file)
        stamps = tuple(_stamp(file) for file in files)
        if self._tls is None or stamps != self._stamps:
            self._tls, self._stamps = _context(s), stamps
        return self._tls

    @property
    def sasl_mechanism(self) -> str | None:
        return self._settings.sasl_mechanism

    @property
    def sasl_plain_username(self) -> str | None:
        return self._settings.sasl_username

    @property
    def sasl_plain_password(self) -> str | None:
        return self._password()

    @property
    def sasl_oauth_token_provider(self) -> AbstractTokenProvider | None:
        return self._provider

    def _password(self) -> str:
        return _secret(self._settings.sasl_password, self._settings.sasl_password_file, "SASL_PASSWORD_FILE")


def consumer(settings: Settings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """A consumer that commits nothing by itself."""
    parsing.install()
    common = {"bootstrap_servers": settings.broker, "client_id": settings.app_id, "enable_auto_commit": False}
    made = AIOKafkaConsumer(*topics, **{**common, **options})
    secure(made._client, settings)
    return made


def producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """A producer whose records are acknowledged by all replicas."""
    common = {"bootstrap_servers": settings.broker, "client_id": settings.app_id, "acks": "all"}
    made = AIOKafkaProducer(**{**common, **options})
    secure(made.client, settings)
    return made


def admin(settings: Settings, **options: Any) -> AIOKafkaAdminClient:
    """A client for topics and groups."""
    made = AIOKafkaAdminClient(bootstrap_servers=settings.broker, client_id=settings.app_id, **options)
    secure(made._client, settings)
    return made


def options(settings: Settings) -> Mapping[str, Any]:
    """What one connection is opened with now, by aiokafka's names. Raises SettingsError, one line, as `secure` does."""
    credentials = Credentials.checked(settings)
    return {field: getattr(credentials, field) for field in FIELDS}


class _Secured(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's client, whose credentials are those of the moment at which it opens a connection."""

    credentials: Credentials


def _now(field: str) -> property:
    return property(lambda client: getattr(client.credentials, field))


for _field in FIELDS:
    setattr(_Secured, f"_{_field}", _now(_field))


def secure(client: AIOKafkaClient, settings: Settings) -> None:
    """Lets a client that has not connected yet do so as the settings say. Raises SettingsError, one line, for a file
    that cannot be used."""
    if settings.security_protocol == "plaintext":
        return
    # A version of aiokafka that keeps them elsewhere would connect without them.
    if not all(f"_{field}" in vars(client) for field in FIELDS):
        raise SettingsError("this aiokafka keeps its credentials elsewhere: install the version of pyproject.toml")
    client.__class__ = _Secured
    client.credentials = Credentials.checked(settings)


def _provider(settings: Settings, secret: Callable[[], str]) -> AbstractTokenProvider | None:
    if settings.sasl_token_file is not None:
        return FileToken(settings.sasl_token_file, f"{PREFIX}SASL_TOKEN_FILE")
    if settings.sasl_token_url is None:
        return None
    context = ssl.create_default_context()
    if settings.ssl_ca_file is not None:
        _load(context.load_verify_locations, settings.ssl_ca_file, "SSL_CA_FILE")
    user = settings.sasl_username or ""
    return GrantedToken(settings.sasl_token_url, user, secret, settings.sasl_scope, context)


def _context(settings: Settings) -> ssl.SSLContext:
    """Checks certificate and host name, always: that is what `create_default_context` is for."""
    ca, certificate, key = settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if ca is not None else ssl.create_default_context()
    if ca is not None:  # then it alone is trusted, not what the system trusts besides
        _load(context.load_verify_locations, ca, "SSL_CA_FILE")
    if certificate is not None:
        _load(_readable, certificate, "SSL_CERT_FILE")
        of_key = "SSL_CERT_FILE" if key is None else "SSL_KEY_FILE"
        _load(_readable, key or certificate, of_key)
        # Asked for only if the key is encrypted; without it OpenSSL would ask a person.
        load = partial(context.load_cert_chain, certificate, key, partial(_key_password, settings))
        _load(lambda file: load(), key or certificate, of_key)
    return context


def _load(load: Callable[[Path], None], file: Path, setting: str) -> None:
    """Calls `load`; what OpenSSL or the system says becomes one line that names the setting."""
    try:
        load(file)
    except ssl.SSLError as error:
        what = error.reason or "it is no PEM"
        remedy = "give a PEM file that holds what the setting says, and a key that fits its certificate"
        raise OSError(f"{PREFIX}{setting}: {file} cannot be used ({what}): {remedy}") from error
    except OSError as error:
        if error.strerror is None:  # our own line
            raise
        remedy = "mend it, or name another"
        raise OSError(f"{PREFIX}{setting}: {file} cannot be read ({error.strerror}): {remedy}") from error


def _readable(file: Path) -> None:
    with file.open("rb"):
        pass


def _key_password(settings: Settings) -> str:
    if settings.ssl_key_password is None and settings.ssl_key_password_file is None:
        raise OSError(f"{PREFIX}SSL_KEY_FILE is encrypted: set {PREFIX}SSL_KEY_PASSWORD_FILE")
    return _secret(settings.ssl_key_password, settings.ssl_key_password_file, "SSL_KEY_PASSWORD_FILE")


def _secret(given: SecretStr | None, file: Path | None, setting: str) -> str:
    if given is not None:
        return given.get_secret_value()
    return read_secret(file, f"{PREFIX}{setting}") if file is not None else ""


def _stamp(file: Path | None) -> object:
    """What changes when a file is written or replaced; a missing one is told by whoever reads it."""
    if file is None or not file.exists():
        return None
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
