"""Kafka's own id of a topic, which one made anew under the same name does not have.

aiokafka's metadata requests end at version 5, ids came with 10: this is version 12 of the request, as far as it is
needed."""

from uuid import UUID

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from stream.settings import Settings
from stream.topics_admin import connected


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data):  # type: ignore[no-untyped-def]  # aiokafka's buffer
        return data.read(16)


_NAME = CompactString("utf-8")


class _Response(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node_id", Int32), ("host", _NAME), ("port", Int32), ("rack", _NAME), ("tags", TaggedFields)),
        ),
        ("cluster_id", _NAME),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", _NAME),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _Response
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", _NAME), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Request(Request[_Struct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        return request_struct_class([(bytes(16), self._topic, {})], False, False, {})


async def topic_id(settings: Settings, topic: str) -> str:
    """The id of a topic that exists; empty where the broker is too old to tell (before Kafka 3.1).

    Raises BrokerError, one line, when no broker answers."""
    async with connected(settings) as admin:
        client = admin._client
        try:
            response = await client.send(client.get_random_node(), _Request(topic))
        except IncompatibleBrokerVersion:
            return ""
    found = {name: UUID(bytes=number) for _, name, number, *_ in response.topics}
    return str(found[topic]) if topic in found else ""
