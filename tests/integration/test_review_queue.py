"""The review queue over HTTP, against a real broker: who is given what, and what a restart, a revocation, an erasure or
the broker's retention changes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from stream import asked, topics_admin
from stream.console.review.options import Options
from stream.records import Erasure, Revocation, Turn
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import label, record_of, turn, unique
from support.kafka import eventually_async, produce
from support.review import judged, serving, token_of, tokens

WHOEVER = {"ann": "", "ben": "", "cleo": ""}
TALK = {"conversation_id": "c"}
"""In one partition, so that turns wait in the order in which they were sent."""


@dataclass
class Client:
    """One annotator without a browser."""

    session: aiohttp.ClientSession
    address: str
    token: str | None

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        content = json.dumps(body) if body is not None else None
        async with self.session.request(method, f"{self.address}{path}", data=content, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if "json" in answer.content_type else text

    async def post(self, path: str, **body: object) -> Any:
        status, answer = await self.ask("POST", f"/api/review/{path}", body)
        assert status == 200, answer
        return answer

    async def get(self, path: str) -> Any:
        status, answer = await self.ask("GET", f"/api/review/{path}")
        assert status == 200, answer
        return answer

    async def next(self) -> Any:
        """The turn that is this annotator's; None when none waits."""
        return (await self.post("next"))["turn"]

    async def vote(self, says: str, *categories: str) -> str:
        """Votes on the turn that is this annotator's, and returns its text."""
        shown = await self.next()
        await self.post("vote", turn=shown["turn"], label=says, categories=categories)
        return str(shown["text"])

    async def waits(self, count: int) -> Any:
        """The state, once so many turns wait and all has been read."""

        async def state() -> Any:
            found = await self.get("state")
            return found if found["waiting"] == count and not found["reading"] else None

        return await eventually_async(state, awaited=f"{count} turns that wait")


@dataclass
class Team:
    """A console, and people who call it."""

    session: aiohttp.ClientSession
    address: str

    def __getattr__(self, name: str) -> Client:
        return Client(self.session, self.address, token_of(name))

    def nobody(self) -> Client:
        return Client(self.session, self.address, None)


@asynccontextmanager
async def team(
    settings: Settings, folder: Path, options: Options | None = None, people: Mapping[str, str] | None = None
) -> AsyncIterator[Team]:
    file = tokens(folder, people or WHOEVER)
    async with (
        serving(settings.model_copy(update={"tokens_file": file}), options) as address,
        aiohttp.ClientSession() as session,
    ):
        yield Team(session, address)


def asking(*texts: str, **fields: Any) -> list[Turn]:
    return [turn(unique("turn"), text, **fields) for text in texts]


async def test_a_restart_loses_nothing_but_leases_and_labels_given_elsewhere_count(
    topics: Settings, tmp_path: Path
) -> None:
    turns = asking("first", "second", "third", "fourth", **TALK)
    await judged(topics, *turns)
    async with team(topics, tmp_path) as here:
        await here.ann.waits(4)
        assert await here.ann.vote("safe") == "first"
        assert (await here.ben.next())["text"] == "second"
    elsewhere = label(turns[2].turn_id, "unsafe", "elsewhere", **TALK)
    await produce(topics.broker, TopicNames.of(topics).labels, [record_of(elsewhere)])
    async with team(topics, tmp_path) as here:
        await here.ann.waits(2)
        assert [(await here.ann.next())["text"], (await here.ben.next())["text"]] == ["second", "fourth"]
        state = await here.ann.get("state?since=0")
        assert (state["name"], state["today"]["turns"]) == ("ann", 1)


async def test_a_quorum_asks_several_people_and_each_once(topics: Settings, tmp_path: Path) -> None:
    await judged(topics, *asking("both of you"))
    async with team(topics, tmp_path, Options(annotators=2)) as here:
        await here.ann.waits(1)
        assert await here.ann.vote("safe") == await here.ben.vote("unsafe") == "both of you"
        assert await here.ann.next() is None
        assert await here.cleo.next() is None
        found = await here.cleo.get("agreement?since=0")
        assert found["agreement"]["all"] == {"turns": 1, "same": 0.0, "alpha": 0.0}
        assert [(one["name"], one["turns"]) for one in found["annotators"]] == [("ann", 1), ("ben", 1)]


async def test_a_policys_quorum_is_asked_for_without_an_option(topics: Settings, tmp_path: Path) -> None:
    careful = topics.model_copy(update={"policies": {"careful": {"quorum": 2}}, "policy": "careful"})
    await judged(careful, *asking("twice"))
    async with team(careful, tmp_path) as here:
        await here.ann.waits(1)
        assert await here.ann.vote("safe") == await here.ben.vote("safe") == "twice"


async def test_a_turn_whose_text_the_broker_keeps_no_more_is_said_and_passed_over(
    topics: Settings, tmp_path: Path
) -> None:
    verdicts = await judged(topics, *asking("gone", "also gone", "still here", **TALK))
    last = verdicts[-1].source
    async with topics_admin.connected(topics) as admin:
        place = TopicPartition(last.topic, last.partition)
        await admin.delete_records({place: RecordsToDelete(before_offset=last.offset)})
    async with team(topics, tmp_path) as here:
        await here.ann.waits(3)
        assert (await here.ann.next())["text"] == "still here"
        state = await here.ann.waits(1)
        assert state["gone"] == 2


async def test_a_text_that_is_to_be_forgotten_is_not_shown_and_no_part_of_a_conversation(
    topics: Settings, tmp_path: Path
) -> None:
    forgotten, shown = asking("my secret", "hello", **TALK)
    await judged(topics, forgotten, shown)
    async with team(topics, tmp_path) as here:
        await here.ann.waits(2)
        assert (await here.ann.next())["text"] == "my secret"
        await here.ann.post("rest")
        await asked.ask(topics, Erasure("default", datetime.now(UTC), turn_id=forgotten.turn_id))

        async def other() -> Any:
            found = await here.ann.next()
            await here.ann.post("rest")
            return found if found["text"] == "hello" else None

        found = await eventually_async(other)
        assert found["before"] == []
        assert (await here.ann.get("state"))["gone"] == 1


async def test_labels_of_somebody_who_is_revoked_do_not_count_and_the_turn_is_asked_again(
    topics: Settings, tmp_path: Path
) -> None:
    await judged(topics, *asking("once more, please"))
    async with team(topics, tmp_path) as here:
        await here.ann.waits(1)
        assert await here.ann.vote("unsafe") == "once more, please"
        await here.ben.waits(0)
        now = datetime.now(UTC)
        await asked.ask(topics, Revocation("ann", None, datetime(2020, 1, 1, tzinfo=UTC), now, now))
        await here.ben.waits(1)
        assert await here.ben.vote("safe") == "once more, please"


async def test_whoever_is_bound_to_a_tenant_sees_and_labels_that_one_alone(topics: Settings, tmp_path: Path) -> None:
    said = [*asking("of acme", tenant="acme", **TALK), *asking("of school", tenant="school", **TALK)]
    await judged(topics, *said)
    async with team(topics, tmp_path, people={"ann": "tenant=school", "ben": ""}) as here:
        await here.ben.waits(2)
        of_acme = await here.ben.next()
        assert (await here.ann.next())["text"] == "of school"
        assert (await here.ann.get("state"))["waiting"] == 1
        status, _ = await here.ann.ask("POST", "/api/review/vote", {"turn": of_acme["turn"], "label": "safe"})
        assert status == 409
        await here.ben.vote("safe")
        found = await here.ann.get("agreement?since=0")
        assert (found["agreement"], found["annotators"]) == (None, [])


async def test_looking_back_goes_from_vote_to_vote_and_a_vote_after_a_restart_is_taken(
    topics: Settings, tmp_path: Path
) -> None:
    await judged(topics, *asking("first", "second", "third", **TALK))
    async with team(topics, tmp_path) as here:
        await here.ann.waits(3)
        for says in ("safe", "unsafe"):
            await here.ann.vote(says, *(["hate"] if says == "unsafe" else []))
        last = (await here.ann.post("back"))["turn"]
        assert (last["text"], last["vote"]) == ("second", {"label": "unsafe", "categories": ["hate"]})
        first = (await here.ann.post("back", before=last["turn"]))["turn"]
        assert (first["text"], first["vote"]["label"]) == ("first", "safe")
        assert (await here.ann.post("back", before=first["turn"]))["turn"] is None
        third = await here.ann.next()
    async with team(topics, tmp_path) as here:
        await here.ben.waits(1)
        saved = await here.ann.post("vote", turn=third["turn"], label="safe")
        assert saved == {"saved": True, "changed": True, "label": "safe"}
        assert (await here.ann.post("vote", turn=third["turn"], label="safe"))["changed"] is False


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("vote", {"turn": "00" * 12, "label": "safe"}, 409),
        ("vote", {"turn": "00" * 12, "label": "fine"}, 400),
        ("vote", {"turn": "00" * 12, "label": "safe", "categories": ["<b>"]}, 400),
        ("vote", {"turn": "../..", "label": "safe"}, 400),
        ("vote", {"turn": "00" * 12, "label": "safe", "annotator": "somebody else"}, 400),
        ("skip", [], 400),
        ("back", {"before": 7}, 400),
    ],
)
async def test_what_cannot_be_meant_is_refused_in_one_line(
    topics: Settings, tmp_path: Path, path: str, body: object, status: int
) -> None:
    async with team(topics, tmp_path) as here:
        await here.ann.waits(0)
        found, answer = await here.ann.ask("POST", f"/api/review/{path}", body)
        assert found == status
        assert "\n" not in answer["error"]["message"]


async def test_nobody_without_a_name_and_no_page_of_somebody_else_gets_anything(
    topics: Settings, tmp_path: Path
) -> None:
    async with team(topics, tmp_path) as here:
        nobody = here.nobody()
        for method, path in (
            ("POST", "next"),
            ("POST", "vote"),
            ("GET", "state"),
            ("GET", "agreement"),
            ("GET", "export"),
        ):
            status, answer = await nobody.ask(method, f"/api/review/{path}", {} if method == "POST" else None)
            assert status == 401, path
            assert answer["error"]["message"]
    async with serving(topics) as address, aiohttp.ClientSession() as session:
        local = Client(session, address, None)
        status, _ = await local.ask("POST", "/api/review/next", {}, Origin="https://elsewhere.example")
        assert status == 403
        status, _ = await local.ask("POST", "/api/review/next", {}, Host="elsewhere.example")
        assert status == 403


async def test_labelled_turns_are_downloaded_by_those_who_may(topics: Settings, tmp_path: Path) -> None:
    await judged(topics, *asking("a turn to keep"), *asking("not labelled"))
    async with team(topics, tmp_path, Options(exporters=frozenset({"ben"}))) as here:
        await here.ann.waits(2)
        status, answer = await here.ben.ask("GET", "/api/review/export")
        assert (status, answer["error"]["code"]) == (404, "nothing")
        text = await here.ann.vote("unsafe", "harassment")
        assert [(await one.get("state"))["may_export"] for one in (here.ann, here.ben)] == [False, True]
        status, _ = await here.ann.ask("GET", "/api/review/export")
        assert status == 403
        status, answer = await here.ben.ask("GET", "/api/review/export?form=jsonl")
        assert status == 200
        row = answer if isinstance(answer, dict) else json.loads(answer)
        assert (row["text"], row["labels_0"], row["num_annotations"]) == (text, "Harassment", 1)
        status, table = await here.ben.ask("GET", "/api/review/export?form=csv")
        assert table.startswith("id,text,num_annotations,text_type,labels_0")


async def test_no_text_is_logged(topics: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await judged(topics, *asking("a confidential matter"))
    async with team(topics, tmp_path) as here:
        await here.ann.waits(1)
        await here.ann.vote("unsafe")
        await here.ann.post("back")
    assert "confidential" not in caplog.text
