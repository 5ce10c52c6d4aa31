"""Whether the broker lets this client do what it will have to: asked at start, so that a right that is missing is one
line, not a failure at the first record that needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from stream.acls import grants
from stream.errors import TopicsError
from stream.producer import transactional_id
from stream.refusals import GRANT, NOT_ALLOWED
from stream.settings import Settings
from stream.topics import TopicNames
from stream.topics_admin import connected

OF_GROUP, OF_TRANSACTION = 0, 1
BITS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "DescribeConfigs": 10, "AlterConfigs": 11}
"""Kafka's codes of operations, which are the bits of what a client may do."""


class _Answer(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster", String("utf-8")),
        ("controller", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _Asked(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("make_topics", Boolean),
        ("with_cluster_operations", Boolean),
        ("with_topic_operations", Boolean),
    )


class _Rights(Request[_Asked]):  # type: ignore[misc]  # as above
    """Metadata of version 8 (Kafka 2.3), the first that tells what the client may do; aiokafka's own ends before."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Asked]) -> _Asked:
        return request_struct_class(self._topics, False, False, True)


async def refuse_lacking(settings: Settings) -> None:
    """Raises TopicsError, one line, when the broker does not let this worker do what `stream.acls` says it needs;
    topics that are not there are passed over. Without TLS or SASL nobody is known, so there is nothing to ask."""
    if settings.security_protocol == "plaintext":
        return
    wanted: dict[str, set[str]] = defaultdict(set)
    for grant in grants(settings, "worker"):
        for topic in grant.topics:
            wanted[topic] |= set(grant.operations)
    async with connected(settings) as admin:
        await _refuse_coordination(admin, settings)
        missing = list(_missing(await _asked(admin, list(wanted)), wanted))
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise TopicsError(f"the broker does not let this user {missing[0]}{more}: {GRANT}")


async def _refuse_coordination(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """The group, and the ids of the fence: who may not use them is not told who coordinates them."""
    fence = transactional_id(settings.app_id, TopicNames.of(settings).changelog, 0)
    for name, kind in ((settings.app_id, OF_GROUP), (fence, OF_TRANSACTION)):
        try:
            await admin.find_coordinator(name, kind)
        except NOT_ALLOWED as error:
            what = "consume as group" if kind == OF_GROUP else "write with the transactional id"
            raise TopicsError(f"the broker does not let this user {what} {name}: {GRANT}") from error
        except KafkaError as error:
            if not error.retriable:  # a young cluster has no coordinator yet; who needs one waits for it
                raise


async def _asked(admin: AIOKafkaAdminClient, topics: list[str]) -> list[dict[str, Any]]:
    answer = await admin._send_request(_Rights(topics))
    found: list[dict[str, Any]] = answer.to_object()["topics"]
    return found


def _missing(found: list[dict[str, Any]], wanted: dict[str, set[str]]) -> Iterator[str]:
    """What cannot be done, such as `Write aegis.verdicts.v1`."""
    for topic in found:
        if topic["error_code"] == UnknownTopicOrPartitionError.errno:
            continue
        unseen = topic["error_code"] == TopicAuthorizationFailedError.errno
        for operation in sorted(wanted[topic["topic"]]):
            if unseen or not topic["operations"] & 1 << BITS[operation]:
                yield f"{operation} {topic['topic']}"
