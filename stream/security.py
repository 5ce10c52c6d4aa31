"""Which settings of the connection's security go together. Pure: no file is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from stream.settings import Settings

OWN_ADDRESSES = ("localhost", "127.0.0.1", "::1")
TLS = ("ssl", "sasl_ssl")
SASL = ("sasl_ssl", "sasl_plaintext")
OAUTH = "OAUTHBEARER"


def wrong_combination(settings: Settings, prefix: str) -> str | None:
    """One line that says which settings do not go together and what to do; None when all do."""
    given = {name for name in type(settings).model_fields if getattr(settings, name) is not None}
    problem = _of_protocol(settings, given) or _of_tls(given) or _of_sasl(settings, given)
    return problem and problem.replace("@", prefix)


def _of_protocol(settings: Settings, given: set[str]) -> str | None:
    protocol = settings.security_protocol
    if protocol not in SASL and (extra := sorted(name for name in given if name.startswith("sasl_"))):
        return f"@{extra[0].upper()} needs @SECURITY_PROTOCOL=sasl_ssl (it is {protocol}): set that, or unset it"
    if protocol not in TLS and (extra := sorted(name for name in given if name.startswith("ssl_"))):
        return f"@{extra[0].upper()} needs @SECURITY_PROTOCOL=ssl or sasl_ssl (it is {protocol}): set that, or unset it"
    if protocol in SASL and settings.sasl_mechanism is None:
        return f"@SECURITY_PROTOCOL={protocol} needs @SASL_MECHANISM: set it to SCRAM-SHA-512, or as the broker asks"
    return None


def _of_tls(given: set[str]) -> str | None:
    if {"ssl_key_password", "ssl_key_password_file"} <= given:
        return "@SSL_KEY_PASSWORD and @SSL_KEY_PASSWORD_FILE are both set: unset one"
    if "ssl_cert_file" not in given and (extra := sorted(n for n in given if n.startswith("ssl_key"))):
        return f"@{extra[0].upper()} is of a certificate that is not given: set @SSL_CERT_FILE"
    return None


def _of_sasl(settings: Settings, given: set[str]) -> str | None:
    if {"sasl_password", "sasl_password_file"} <= given:
        return "@SASL_PASSWORD and @SASL_PASSWORD_FILE are both set: unset one"
    if settings.sasl_mechanism == OAUTH:
        return _of_oauth(settings, given)
    if extra := sorted(given & {"sasl_token_file", "sasl_token_url", "sasl_scope"}):
        return f"@{extra[0].upper()} needs @SASL_MECHANISM=OAUTHBEARER (it is {settings.sasl_mechanism})"
    if settings.sasl_mechanism is None:
        return None
    return _lacking_credentials(given, f"@SASL_MECHANISM={settings.sasl_mechanism}")


def _of_oauth(settings: Settings, given: set[str]) -> str | None:
    if settings.sasl_token_url is None:
        if "sasl_token_file" not in given:
            return "@SASL_MECHANISM=OAUTHBEARER needs a token: set @SASL_TOKEN_FILE or @SASL_TOKEN_URL"
        extra = sorted(given & {"sasl_username", "sasl_password", "sasl_password_file", "sasl_scope"})
        return f"@{extra[0].upper()} is not used with @SASL_TOKEN_FILE: unset it" if extra else None
    if "sasl_token_file" in given:
        return "@SASL_TOKEN_FILE and @SASL_TOKEN_URL are both set: unset one"
    url = urlsplit(settings.sasl_token_url)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in OWN_ADDRESSES):
        return "@SASL_TOKEN_URL must begin with https://: the client's secret is sent there"
    return _lacking_credentials(given, "@SASL_TOKEN_URL")


def _lacking_credentials(given: set[str], of: str) -> str | None:
    if not given & {"sasl_password", "sasl_password_file"}:
        return f"{of} needs a password: set @SASL_PASSWORD_FILE, or @SASL_PASSWORD"
    return None if "sasl_username" in given else f"{of} needs a user: set @SASL_USERNAME"
