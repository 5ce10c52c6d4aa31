"""Why the broker does not let a client in, or not do something: one line that names what mends it.

aiokafka logs why a connection failed and raises that there is none. So `why_not` opens one more and looks at what comes
of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream import connection
from stream.security import OAUTH
from stream.settings import Settings

NOT_ALLOWED = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
HOST_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host and of another address."""
EXPIRED = 10
GRANT = "grant what `aegis topics acls` prints"
PASSWORD = "mend AEGIS_SASL_USERNAME or AEGIS_SASL_PASSWORD(_FILE)"
TOKEN = "see that AEGIS_SASL_TOKEN_FILE is renewed, or that AEGIS_SASL_TOKEN_URL gives tokens for this broker"


def allowed(error: BaseException) -> str:
    """What mends a refusal for want of a right, to be put behind the line that tells of it; empty for other errors."""
    return f": {GRANT}" if isinstance(error, NOT_ALLOWED) else ""


def unseen(settings: Settings) -> str:
    """What to put behind "does not exist": a broker shows nobody what he has no right to."""
    known = settings.security_protocol != "plaintext"
    return ", or this user may not see it (`aegis topics acls` prints what to grant)" if known else ""


async def why_not(settings: Settings, patience: float) -> str | None:
    """Why no broker lets this client in: the first reason that one of them gives; None when they do not answer at all,
    or let it in now. `patience` is in seconds."""
    try:
        hosts = collect_hosts(settings.broker)
    except ValueError:  # of a port that is no number
        return None
    for host, port, _ in hosts:
        try:
            async with asyncio.timeout(patience):
                await _knock(settings, host, port)
        except (KafkaError, OSError, EOFError, ValueError) as error:  # a wrong SCRAM signature is a ValueError
            if reason := _reason(settings, error):
                return f"the broker at {host}:{port} {reason}"
    return None


async def _knock(settings: Settings, host: str, port: int) -> None:
    """Connects, and asks something: aiokafka takes the broker's refusal of a token for a welcome."""
    opened = await create_conn(host, port, client_id=settings.app_id, **connection.options(settings))
    try:
        answer = await opened.send(MetadataRequest([]))
        if settings.sasl_mechanism == OAUTH and not answer.brokers:
            raise SaslAuthenticationFailed
    finally:
        opened.close()


def _reason(settings: Settings, error: BaseException) -> str | None:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return _of_certificate(settings, cause)
            case ssl.SSLError():
                return _of_tls(settings, cause)
            case SaslAuthenticationFailed():
                token = settings.sasl_mechanism == OAUTH
                return f"refused the token: {TOKEN}" if token else f"refused the password or user: {PASSWORD}"
            case UnsupportedSaslMechanismError():
                return f"takes no {settings.sasl_mechanism}: set AEGIS_SASL_MECHANISM to what it takes there"
            case IllegalSaslStateError():
                return "asks for no user on this port: name another port, or set AEGIS_SECURITY_PROTOCOL to plaintext"
            case OSError() if "AEGIS_" in str(cause):  # a file or a token URL of ours
                return f"was not asked, since there is nothing to show it: {cause}"
            case asyncio.IncompleteReadError() | ConnectionResetError():
                return _of_protocol(settings)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """What happened first is what is told."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return reversed(chain)


def _of_certificate(settings: Settings, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in HOST_NAME:
        return "has a certificate for another name: set AEGIS_BROKER to the name in it, or have it signed for this one"
    if error.verify_code == EXPIRED:
        return "has a certificate that has expired: have it renewed"
    ca = settings.ssl_ca_file or "the system's trust"
    return f"has a certificate that nobody in {ca} signed: set AEGIS_SSL_CA_FILE to the certificate of who did"


def _of_tls(settings: Settings, error: ssl.SSLError) -> str:
    if "ALERT" not in (error.reason or ""):
        return "speaks no TLS on this port: name another port, or set AEGIS_SECURITY_PROTOCOL to what it speaks"
    if settings.ssl_cert_file is None:
        return "asks for a client's certificate: set AEGIS_SSL_CERT_FILE and AEGIS_SSL_KEY_FILE"
    return "refused the client's certificate: see that AEGIS_SSL_CERT_FILE has not expired, and who signed it"


def _of_protocol(settings: Settings) -> str:
    return (
        f"ended the connection at once: AEGIS_SECURITY_PROTOCOL is {settings.security_protocol}, set it to what the"
        " broker speaks on this port, or name another port"
    )
