"""Every setting of the worker: one frozen object, read from the environment once, by `Settings.load`.

A setting `label_horizon` is the variable `AEGIS_LABEL_HORIZON`. Durations are seconds inside, and are written `7d`,
`36h`, `90m`, `10s`, `200ms` or as a plain number of seconds outside.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UndecodableError

from ensemble.policy import POLICIES, Policy
from stream.errors import SettingsError
from stream.security import wrong_combination

PREFIX = "AEGIS_"
TEST_PREFIX = "AEGIS_TEST_"  # read by the tests, never by the worker
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
TOPIC_NAME = r"[a-zA-Z0-9._-]"  # what Kafka allows


def seconds(value: object) -> object:
    """Returns the seconds of "7d", "36h", "90m", "10s", "200ms" or "90"; anything but text is returned as it is.

    Raises ValueError for a text that is no duration.
    """
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", value)
    if found is None:
        raise ValueError(f"{value!r} is no duration: write 7d, 36h, 90m, 10s, 200ms or a number of seconds")
    return float(found[1]) * UNITS[found[2] or "s"]


def _names(value: object) -> object:
    """Splits "lexical, permissive": a list of names needs no JSON."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _lower(value: object) -> object:
    """Kafka's own clients write SASL_SSL."""
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(seconds)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class Settings(BaseSettings):
    """The worker's settings; `Settings.load()` reads them, and says what is wrong in one line."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an error would quote every setting, the passwords among them
    )

    # Kafka
    broker: str = Field(default="127.0.0.1:9092", min_length=1)
    """Bootstrap servers, `host:port`, several with commas between them. The default is the embedded broker's."""
    app_id: str = Field(default="aegis", pattern=f"^{TOPIC_NAME}{{1,100}}$")
    """Names the consumer group, the changelog and the transactional ids: two workers with one name share the work."""
    topic_prefix: str = Field(default="aegis.", pattern=f"^{TOPIC_NAME}{{0,100}}$")
    """In front of every topic of the contract, so that several deployments share a cluster."""
    partitions: int = Field(default=8, ge=1, le=1000)
    """Partitions that `aegis topics create` makes of turns, labels, verdicts and the state: the most workers that can
    share the work. Eight let a small start grow eightfold before anything is raised; each costs every worker one
    producer id and one store. `aegis topics grow` raises them later: what the broker has then counts, not this."""
    replication_factor: int = Field(default=1, ge=1, le=32767)
    """Copies of every partition. One is all that the embedded broker can hold; a cluster wants 3."""
    session_timeout: Seconds = Field(default=10.0, ge=1.0, le=300.0)
    """Seconds without a heartbeat after which the group gives a worker's partitions away: so long a killed worker's
    turns wait. Ten outlive a usual GC or disk pause, Kafka's 45 would leave conversations unmoderated that long. A
    broker refuses less than its own group.min.session.timeout.ms (6 s, unless changed as in the embedded one)."""
    heartbeat: Seconds = Field(default=3.0, gt=0.0)
    """Seconds between heartbeats: a third of the session time-out, so that two may be lost."""

    # Kafka: how a client shows who it is, and knows the broker. No switch turns the check of the broker's certificate
    # and host name off: unchecked, `ssl` protects from nobody who can answer in the broker's place.
    security_protocol: Annotated[Protocol, BeforeValidator(_lower)] = "plaintext"
    """`ssl` encrypts and checks the broker's certificate; `sasl_ssl` also says who the client is, `sasl_plaintext` says
    it in the clear. `plaintext`, the default, is what the embedded broker speaks."""
    sasl_mechanism: Annotated[Mechanism, BeforeValidator(_upper)] | None = None
    """How a client says who it is, with `sasl_ssl` and `sasl_plaintext`: `SCRAM-SHA-512` never sends the password,
    `PLAIN` does, `OAUTHBEARER` sends a token."""
    sasl_username: str | None = Field(default=None, min_length=1)
    """The user; with `sasl_token_url`, the client id."""
    sasl_password: SecretStr | None = None
    """The user's password, or the client's secret. In a file it is safer: the environment is shown by `ps e`."""
    sasl_password_file: Path | None = None
    """File that holds it, read again for every connection, so that a password can be changed under a running worker."""
    sasl_token_file: Path | None = None
    """File with the token of OAUTHBEARER, such as Kubernetes projects and renews; read again for every connection."""
    sasl_token_url: str | None = None
    """Where a token is asked for with the client's id and secret (OAuth's client credentials). Only https, but for this
    machine's own address: the secret is sent there."""
    sasl_scope: str | None = Field(default=None, min_length=1)
    """What such a token is asked to be good for, in the words of whoever gives it."""
    ssl_ca_file: Path | None = None
    """Certificates (PEM) that the broker's must be signed by; none: those that the system trusts."""
    ssl_cert_file: Path | None = None
    """The client's certificate (PEM), where the broker asks for one. Renewed files are read at the next connection."""
    ssl_key_file: Path | None = None
    """Its key (PEM); none: it is in the certificate's file."""
    ssl_key_password: SecretStr | None = None
    """What an encrypted key is opened with."""
    ssl_key_password_file: Path | None = None
    """File that holds it."""

    # Kafka: how long a worker waits for it, and for itself
    write_timeout: Seconds = Field(default=30.0, gt=0.0, le=3600.0)
    """Seconds within which the broker must acknowledge a record; then the worker ends and starts again from its
    changelog. A leader election takes a few seconds; aiokafka itself would retry for ever."""
    stall_timeout: Seconds = Field(default=120.0, gt=0.0, le=86400.0)
    """Seconds that a partition may stand still while records wait in it; then the worker ends and starts again. Far
    above the slowest batch, below what a conversation can go unmoderated."""
    drain_timeout: Seconds = Field(default=20.0, ge=1.0, le=3600.0)
    """Seconds within which a worker that is told to end (SIGTERM) has ended: four fifths of them to finish what it has
    begun, the rest to commit and to leave its group. Twice what an expert may take, and below the 30 s after which
    Kubernetes kills."""
    instance_id: str | None = Field(default=None, pattern=f"^{TOPIC_NAME}{{1,200}}$")
    """Makes this worker a static member of its group, under a name that no other worker has at the same time (the pod
    of a StatefulSet): started again within `session_timeout` it gets its partitions back, and no other worker notices.
    None, the default, leaves the group when it ends, so that others take over at once."""

    # State
    store: Literal["rocksdict", "memory"] = "rocksdict"
    """Where a partition's state lives: on disk, where a restart reads only what is new, or in memory."""
    data_dir: Path = Path(".aegis/state")
    """Folder of the on-disk state. It may be lost at any time: the changelog is the truth."""
    standbys: int = Field(default=0, ge=0, le=10)
    """Copies of each partition's state that other workers keep up, so that a takeover reads only what was written last.
    None by default: a takeover waits for the session time-out first (10 s), and reading a partition anew takes seconds
    (a million pending turns about ten); each copy reads the whole changelog once more and takes its disk, and Faust
    spreads partitions less evenly when there are any. Needs more workers than copies."""
    label_horizon: Seconds = Field(default=7 * 86400.0, ge=1.0, le=365 * 86400.0)
    """Seconds after its verdict during which a turn's label is still learned. People answer within days; each day more
    keeps a day's turns (about 300 bytes each) in the state."""
    cache_bytes: int = Field(default=128 << 20, ge=1 << 20, le=1 << 40)
    """Bytes of memory for what a worker makes of the moments of the contexts (tenant and role) used last: a quarter for
    decoded sums over partitions, half for forecasters and thresholds, a quarter for the sums of its own partitions.
    What does not fit is made anew from its records when it is used, in about a millisecond. 128 MiB hold the
    forecasters of 10,000 contexts; the records themselves stand beside this, packed."""
    max_text_bytes: int = Field(default=65536, ge=1, le=500_000)
    """Bytes of UTF-8 in a turn's text; a longer one is a dead letter. 64 KiB is a long essay; the ceiling keeps the
    verdict and the pending record under Kafka's 1 MiB a message."""

    # Conversations
    conversations: Literal["on", "off"] = "on"
    """Whether the last turns of each conversation are kept for experts that read more than the turn. On, since without
    them an expert for replies does not know what was asked, and `turns.v1` holds the same texts for longer; off where
    producers send `history`, or where no text may be at rest. Switched off, what was kept is deleted within ten
    minutes."""
    conversation_tokens: int = Field(default=1000, ge=64, le=32_000)
    """Tokens kept of a conversation, counted roughly: a fourth of the UTF-8 bytes, and 8 for each turn. A thousand are
    a question and an answer of 500 each, more than the shipped experts read; a guard LLM may want 4,000. Every turn
    writes them again, into the changelog and the store; the ceiling keeps them under Kafka's 1 MiB a message."""
    conversation_idle: Seconds = Field(default=3600.0, ge=1.0, le=30 * 86400.0)
    """Seconds without a turn after which a conversation is forgotten. People come back within the hour; a day later
    they begin anew, and its text is not held meanwhile."""

    # Learning
    policy: str = "permissive"
    """How labels are read for tenants not named in `tenant_policies`: is "needs caution" safe (`permissive`) or not
    (`defensive`), or a policy of `policies`."""
    tenant_policies: dict[str, str] = Field(default_factory=dict)
    """JSON object from tenant to policy, e.g. `{"acme": "defensive"}`."""
    policies: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """JSON object of policies of your own, from name to the fields of `ensemble.policy.Policy` that differ from those
    of `permissive` (or of the one named as `like`), e.g. `{"strict": {"like": "defensive", "costs": [1, 1, 5]}}`."""

    # Experts
    experts_dir: Path | None = None
    """Folder of the experts, one folder each; none: those that are shipped."""
    experts: Names | None = Field(default=None, min_length=1)
    """Names of the experts that vote until `aegis experts` says otherwise, with commas between them; none: all in the
    folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where experts run: `auto` takes a CUDA device when there is one, else the CPU."""
    expert_timeout: Seconds = Field(default=10.0, gt=0.0, le=600.0)
    """Seconds after which an expert that has not answered sleeps for that batch; far above a healthy batch (under 1 s
    on a CPU), below what a conversation can wait."""
    batch_seconds: Seconds = Field(default=0.5, gt=0.0, le=60.0)
    """Seconds of work that one batch may take, where so much waits: larger ones use the device better, smaller ones
    answer sooner. Half a second lets two cores judge a fifth more turns than 0.2 did; one that is not behind takes what
    has come, which is less."""

    # Services over HTTP, the console and the gateway: with none of these they listen on this machine only
    tokens_file: Path | None = None
    """File of those who may call, a line `name:token` each, with `tenant=NAME` or `annotators=any` after it; read again
    when it changes."""
    user_header: str | None = Field(default=None, pattern="^[A-Za-z0-9-]+$")
    """Header in which a reverse proxy names who calls, such as X-Forwarded-User."""
    trusted_proxies: Names = ()
    """Addresses and networks of the proxies whose header is believed, with commas between them."""

    # Operation
    http_port: int = Field(default=0, ge=0, le=65535)
    """Port of metrics and health; 0 serves none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe event that is logged."""
    log_format: Literal["json", "console"] = "console"
    """`json` for a collector, `console` for a person."""

    @model_validator(mode="after")
    def _heartbeat_fits(self) -> Settings:
        if self.heartbeat * 2 > self.session_timeout:
            took, limit = f"{self.heartbeat:g} s", f"{self.session_timeout:g} s"
            raise ValueError(f"{PREFIX}HEARTBEAT ({took}) is over half of {PREFIX}SESSION_TIMEOUT ({limit})")
        return self

    @model_validator(mode="after")
    def _client_can_connect(self) -> Settings:
        if problem := wrong_combination(self, PREFIX):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _policies_are_known(self) -> Settings:
        known = self.defined_policies()
        named = {"POLICY": self.policy} | {f"TENANT_POLICIES[{t}]": name for t, name in self.tenant_policies.items()}
        for setting, name in named.items():
            if name not in known:
                raise ValueError(f"{PREFIX}{setting}: there is no policy {name!r}: use one of {', '.join(known)}")
        return self

    def defined_policies(self) -> dict[str, Policy]:
        """Every policy by its name: those of the ensemble, and those of `policies`. Raises ValueError, one line."""
        known = dict(POLICIES)
        for name, fields in self.policies.items():
            known[name] = _policy(name, fields, known)
        return known

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Returns the settings of the environment, `overrides` (by field name) before them.

        Raises SettingsError, one line: an `AEGIS_` variable that no setting has, a value that cannot be, an unknown
        override.
        """
        refuse_unknown(os.environ, cls.model_fields)
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise SettingsError(_one_line(error)) from error
        except UndecodableError as error:
            field = re.search(r'field "(\w+)"', str(error))
            name = f"{PREFIX}{field[1].upper()}" if field else "a setting"
            raise SettingsError(f"{name} is not valid JSON: {error.__cause__}") from error
        except RecursionError as error:
            raise SettingsError(f"a {PREFIX} variable with JSON nests too deep: mend it") from error

    def environment(self) -> dict[str, str]:
        """This process's environment, changed so that `load` gives these settings: for a child process.

        The only place where a secret is written out."""
        changed = self.model_dump(mode="json", exclude_defaults=True)
        values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changed.items()}
        values |= {name: secret.get_secret_value() for name, secret in self if isinstance(secret, SecretStr)}
        values |= {name: ",".join(names) for name, names in self if name in changed and isinstance(names, tuple)}
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
        return {**kept, **{PREFIX + name.upper(): value for name, value in values.items()}}


def refuse_unknown(environ: Iterable[str], fields: Iterable[str]) -> None:
    """Raises SettingsError for a variable with our prefix that is no setting: a misspelt one would do nothing."""
    known = [PREFIX + field.upper() for field in fields]
    for name in environ:
        if name.upper().startswith(PREFIX) and not name.upper().startswith(TEST_PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{name} is no setting; the nearest is {near}: rename it, or unset it")


def _policy(name: str, fields: dict[str, Any], known: dict[str, Policy]) -> Policy:
    """The policy that a setting describes. Raises ValueError, one line, when it describes none."""
    said = {"like": "permissive", **fields}
    like = said.pop("like")
    base = known.get(like) if isinstance(like, str) else None
    changeable = {field.name for field in dataclasses.fields(Policy)} - {"name"}
    if base is None:
        raise ValueError(f"{PREFIX}POLICIES[{name}]: `like` names no policy: use one of {', '.join(known)}")
    if unknown := sorted(said.keys() - changeable):
        raise ValueError(f"{PREFIX}POLICIES[{name}]: {unknown[0]} is no field: use {', '.join(sorted(changeable))}")
    try:
        return dataclasses.replace(base, name=name, **said)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{PREFIX}POLICIES[{name}]: {error}") from error


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    where = [str(part) for part in first["loc"]]
    if not where:  # of several settings together, which the reason names
        return reason
    name = PREFIX + where[0].upper() + "".join(f"[{part}]" for part in where[1:])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{name}: {reason}{more}"
