"""Applies calls of Kafka's kafka-acls.sh, as `aegis topics acls` prints them, without that tool."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

_parser = argparse.ArgumentParser("kafka-acls.sh")
_parser.add_argument("--bootstrap-server", required=True)
_parser.add_argument("--add", action="store_true", required=True)
_parser.add_argument("--allow-principal", required=True)
_parser.add_argument("--operation", action="append", required=True)
_parser.add_argument("--resource-pattern-type", default="literal")
_parser.add_argument("--topic", action="append", default=[])
_parser.add_argument("--group", action="append", default=[])
_parser.add_argument("--transactional-id", action="append", default=[])

KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}
OPERATIONS = {operation.name.replace("_", ""): operation for operation in AclOperation}


def bindings(lines: Iterable[str]) -> Iterator[AclBinding]:
    """What the lines ask for; fails on a line that is no such call."""
    for line in lines:
        tool, *words = shlex.split(line)
        assert tool == "kafka-acls.sh"
        asked = _parser.parse_args(words)
        pattern = ResourcePatternType[asked.resource_pattern_type.upper()]
        for kind, resource in KINDS.items():
            for name in getattr(asked, kind):
                for operation in asked.operation:
                    yield AclBinding(
                        resource, name, pattern, asked.allow_principal, "*",
                        OPERATIONS[operation.upper()], AclPermissionType.ALLOW,
                    )  # fmt: skip


def allow(bootstrap: str, made: Iterable[AclBinding]) -> None:
    """Adds them; the broker knows them when this returns."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.create_acls(list(made)).values():
        answer.result(30)


def allow_nothing(bootstrap: str) -> None:
    """Takes every right back."""
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.delete_acls([everything]).values():
        answer.result(30)
