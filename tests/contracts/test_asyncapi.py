"""The published document by AsyncAPI's own parser; what it says of topics, keys, headers and security by the code."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from stream import asyncapi, dead_letters, records, routing
from stream.asyncapi_examples import EXAMPLES
from stream.codecs import SCHEMA_REASONS, UNREADABLE, decode_label, decode_turn
from stream.settings import Mechanism, Settings
from stream.topics import TopicNames, contract
from support.examples import BUILD_SECONDS

VALIDATOR = Path(__file__).with_name("validator")
DOCUMENT: dict[str, Any] = json.loads((asyncapi.FOLDER / "asyncapi.json").read_text("utf-8"))
Json = dict[str, Any]
Parse = Callable[[list[Json]], list[list[str]]]


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """What AsyncAPI's parser finds wrong with each of these documents."""
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} in PATH, for AsyncAPI's own parser")
    folder = tmp_path_factory.mktemp("asyncapi") / "validator"
    shutil.copytree(VALIDATOR, folder, ignore=shutil.ignore_patterns("node_modules"))

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")

    def problems(documents: list[Json]) -> list[list[str]]:
        names = [f"{number}.json" for number in range(len(documents))]
        for name, document in zip(names, documents, strict=True):
            (folder / name).write_text(json.dumps(document), "utf-8")
        found = [json.loads(line) for line in run("node", "validate.mjs", *names).splitlines()]
        assert [each["read"] for each in found] == [not each["problems"] for each in found]
        return [each["problems"] for each in found]

    return problems


WRONG: dict[tuple[str, ...], Any] = {
    ("channels", "turns.v1", "address"): 5,
    ("operations", "send-verdicts.v1", "channel", "$ref"): "#/channels/nowhere",
    ("components", "schemas", "Turn", "type"): "thing",
    ("components", "securitySchemes", "plain", "type"): "password",
    ("channels", "labels.v1", "messages", "Label", "bindings", "kafka", "keys"): {},
    ("servers", "secured", "hosts"): ["a"],
}
"""By the place of each what the specification does not allow there."""


def with_wrong(place: tuple[str, ...]) -> Json:
    document = deepcopy(DOCUMENT)
    node = document
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = WRONG[place]
    return document


@pytest.mark.timeout(BUILD_SECONDS + 60)
def test_the_document_is_valid_by_the_parser_of_asyncapi_which_finds_what_is_wrong(parse: Parse) -> None:
    ours, *wrong = parse([DOCUMENT, *map(with_wrong, WRONG)])
    assert ours == []
    assert all(wrong), wrong
    assert len(wrong) == len(WRONG)


MESSAGES: list[tuple[str, str, Json]] = [
    (topic, name, message)
    for topic, channel in DOCUMENT["channels"].items()
    for name, message in channel["messages"].items()
]
EACH_MESSAGE = pytest.mark.parametrize(("topic", "name", "message"), MESSAGES, ids=[name for _, name, _ in MESSAGES])


@EACH_MESSAGE
def test_every_message_has_examples_that_are_valid_and_can_be_read(topic: str, name: str, message: Json) -> None:
    assert message["examples"]
    for example in message["examples"]:
        assert example["summary"]
        if headers := example.get("headers"):
            jsonschema.validate(headers, message["headers"])
        if name == "DeadLetter":
            with pytest.raises(UNREADABLE):
                msgspec.json.decode(example["payload"], type=records.Turn)
            continue
        jsonschema.validate(example["payload"], asyncapi.schemas()[name])
        assert msgspec.json.decode(json.dumps(example["payload"]), type=getattr(records, name)) in [
            record for _, record in EXAMPLES[getattr(records, name)]
        ]


@EACH_MESSAGE
def test_every_message_says_by_what_it_is_keyed(topic: str, name: str, message: Json) -> None:
    key = message["bindings"]["kafka"]["key"]
    assert key["type"] == "string"
    assert key["description"]
    if name in ("Turn", "Label", "Verdict", "Weights"):
        assert key["description"] in properties(name)


def properties(name: str) -> Json:
    fields: Json = asyncapi.schemas()[name]["$defs"][name]["properties"]
    return fields


def test_turns_and_labels_of_the_examples_are_taken_by_the_worker() -> None:
    for _, turn in EXAMPLES[records.Turn]:
        assert decode_turn(msgspec.json.encode(turn), 65_536) == turn
    for _, label in EXAMPLES[records.Label]:
        assert decode_label(msgspec.json.encode(label)) == label


def test_the_headers_are_those_that_the_worker_writes_and_reads() -> None:
    replayed = {dead_letters.REPLAYED, dead_letters.REPLAYS}
    search = {routing.TRIED, routing.FIRST, routing.TRIES, routing.STAMP}
    about = {
        dead_letters.REASON,
        dead_letters.DETAIL,
        dead_letters.TOPIC,
        dead_letters.PARTITION,
        dead_letters.OFFSET,
    }
    trace = set(asyncapi.TRACE)
    told = {name: set(message.get("headers", {}).get("properties", ())) for _, name, message in MESSAGES}
    assert {name: headers for name, headers in told.items() if headers} == {
        "Turn": trace | replayed,
        "Label": search | replayed,
        "Verdict": trace,
        "DeadLetter": about | replayed,
    }


def test_the_reasons_are_those_that_the_worker_gives() -> None:
    """Each stands as a word where a message is rejected, or in the table by which the codec words its errors."""
    given = {reason for _, reason in SCHEMA_REASONS}
    for path in Path(asyncapi.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rejected":
                given |= {str(node.args[0].value)} if isinstance(node.args[0], ast.Constant) else set()
    assert given == set(asyncapi.REASONS)


def test_every_topic_of_others_is_a_channel_and_compacted_where_it_is_one() -> None:
    settings = Settings.load()
    names = TopicNames.of(settings)
    own = {names.moments, names.changelog}
    policies = {spec.name: spec.config["cleanup.policy"].value for spec in contract(settings) if spec.name not in own}
    told = {
        channel["address"]: channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"]
        for channel in DOCUMENT["channels"].values()
    }
    assert told == {name: [policy] for name, policy in policies.items()}


def test_every_way_to_say_who_a_client_is_is_a_security_scheme() -> None:
    described = " ".join(scheme["description"] for scheme in DOCUMENT["components"]["securitySchemes"].values())
    for mechanism in get_args(Mechanism):
        assert f"AEGIS_SASL_MECHANISM={mechanism}" in described
    known = {f"AEGIS_{name.upper()}" for name in Settings.model_fields}
    words = {word.strip(",.").split("=")[0] for word in described.split() if word.startswith("AEGIS_")}
    assert words <= known


def test_nothing_forbids_a_field_that_is_not_known() -> None:
    def forbidding(node: Any) -> bool:
        if isinstance(node, dict):
            return node.get("additionalProperties") is False or any(map(forbidding, node.values()))
        return isinstance(node, list) and any(map(forbidding, node))

    assert not forbidding(DOCUMENT)
    assert not any(forbidding(schema) for schema in asyncapi.schemas().values())
