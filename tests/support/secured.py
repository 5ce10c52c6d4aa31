"""A broker that asks who comes: SCRAM, PLAIN, tokens and client certificates over TLS, and nothing allowed by default.

Its plain listener is for the tests themselves: whoever comes there may do everything, as no operator would have it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AclBinding

from stream import acls
from stream import broker as embedded
from stream.__main__ import cli
from stream.settings import Settings
from support.acls import bindings
from support.authority import Authority, Issuer
from support.worker_process import environment

MARKS = [
    pytest.mark.broker,
    pytest.mark.skipif(
        shutil.which("java") is None and not os.environ.get("JAVA_HOME"),
        reason="no Java: this broker is one that tests set up themselves, whatever AEGIS_TEST_BROKER names",
    ),
    # asyncio closes a TLS connection when the peer has answered its good-bye. One that aiokafka was still opening when
    # its client was closed is waited for by nobody, so a loop that ends at once leaves the socket to the collector.
    pytest.mark.filterwarnings("ignore:unclosed (transport )?<:ResourceWarning"),
]
WORKER, PRODUCER = "User:worker", "User:producer"
HOST = "localhost"
"""What the broker's certificate names; its address, 127.0.0.1, it does not."""
PASSWORDS = {"worker": "a-secret-of-the-worker", "producer": "a-secret-of-the-producer"}

PROPERTIES = """
listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller}},\\
  SASL://{{host}}:{sasl},CLEAR://{{host}}:{clear},MUTUAL://{{host}}:{mutual}
advertised.listeners=PLAINTEXT://{{host}}:{{port}},\\
  SASL://{name}:{sasl},CLEAR://{name}:{clear},MUTUAL://{name}:{mutual}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,CLEAR:SASL_PLAINTEXT,MUTUAL:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.clear.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl.scram-sha-256.sasl.jaas.config={library}.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config={library}.scram.ScramLoginModule required;
listener.name.clear.scram-sha-512.sasl.jaas.config={library}.scram.ScramLoginModule required;
listener.name.sasl.plain.sasl.jaas.config={library}.plain.PlainLoginModule required {plain};
{oauth}.sasl.jaas.config={library}.oauthbearer.OAuthBearerLoginModule required;
{oauth}.sasl.server.callback.handler.class={library}.oauthbearer.OAuthBearerValidatorCallbackHandler
{oauth}.sasl.oauthbearer.jwks.endpoint.url={keys}
{oauth}.sasl.oauthbearer.expected.audience=kafka
{oauth}.sasl.oauthbearer.expected.issuer=tests
{oauth}.connections.max.reauth.ms=3600000
"""


@dataclass(frozen=True)
class Secured:
    """The broker: where it is, and who signs for it."""

    plain: str
    """Where the tests do as they like."""
    sasl: str
    clear: str
    mutual: str
    authority: Authority
    issuer: Issuer
    folder: Path

    def scram(self, user: str = "worker", **changes: Any) -> dict[str, Any]:
        """Settings of a client with a password, by name."""
        common = {
            "broker": self.sasl,
            "security_protocol": "sasl_ssl",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": user,
            "sasl_password": PASSWORDS.get(user, "none"),
            "ssl_ca_file": self.authority.ca,
        }
        return {**common, **changes}

    def token(self, file: Path, **changes: Any) -> dict[str, Any]:
        """Settings of a client with a token."""
        common = {"broker": self.sasl, "security_protocol": "sasl_ssl", "sasl_mechanism": "OAUTHBEARER"}
        return {**common, "sasl_token_file": file, "ssl_ca_file": self.authority.ca, **changes}

    def certificate(self, name: str = "worker", **changes: Any) -> dict[str, Any]:
        """Settings of a client with a certificate."""
        files = {"ssl_cert_file": self.authority.certificate(name), "ssl_key_file": self.authority.key(name)}
        common = {"broker": self.mutual, "security_protocol": "ssl", "ssl_ca_file": self.authority.ca}
        return {**common, **files, **changes}


@contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Runs the broker, and ends it."""
    authority, issuer = Authority.new(folder / "authority"), Issuer.new(folder / "issuer")
    authority.sign("broker", HOST)
    authority.sign("worker")
    authority.sign("late", days=-1)
    port, sasl, clear, mutual = (embedded.free_port() for _ in range(4))
    users = " ".join(f'user_{user}="{password}"' for user, password in PASSWORDS.items())
    keys = issuer.keys.as_uri()
    more = PROPERTIES.format(
        sasl=sasl, clear=clear, mutual=mutual, name=HOST, plain=users, keys=keys,
        library="org.apache.kafka.common.security", oauth="listener.name.sasl.oauthbearer",
        keystore=authority.both("broker"), truststore=authority.ca,
    )  # fmt: skip
    mechanisms = ("SCRAM-SHA-256", "SCRAM-SHA-512")
    formatting = [
        f"--add-scram={mechanism}=[name={user},password={password}]"
        for mechanism in mechanisms
        for user, password in PASSWORDS.items()
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}")
        running = embedded.start(folder / "broker", port, more=more, formatting=formatting)
    try:
        yield Secured(
            running.bootstrap, f"{HOST}:{sasl}", f"{HOST}:{clear}", f"{HOST}:{mutual}", authority, issuer, folder
        )
    finally:
        embedded.stop(folder / "broker")


def client(plain: Settings, how: dict[str, Any]) -> Settings:
    """The same topics, reached in another way."""
    return Settings.load(**{**plain.model_dump(exclude_defaults=True), **how})


def granted(settings: Settings, role: acls.Role, principal: str) -> list[AclBinding]:
    """What the command prints for a role."""
    words = ["topics", "acls", "--principal", principal, "--role", role]
    shown = CliRunner(env=environment(settings)).invoke(cli, words)
    assert shown.exit_code == 0, shown.output
    return list(bindings(shown.stdout.splitlines()))
