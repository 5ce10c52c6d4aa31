"""`aegis gateway` between real clients, a real broker and a real worker with shipped experts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.gateway.signatures import ID, SIGNATURE, TIMESTAMP, sign
from stream.settings import Settings
from stream.web.callers import parse
from support.flow import Flow, flowing, unique
from support.gateway import Gateway, client, gateway, get, post
from support.kafka import eventually_async
from support.worker_process import REAL

HARMLESS, HARMFUL = "How do I bake bread?", "I will kill you and burn your house down, you worthless idiot."
SVC, BOUND, TOOL = "a-token-of-svc-0123456789", "a-token-of-acme-0123456789", "a-token-of-tool-0123456789"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKENS = f"svc:{SVC}\nacme-svc:{BOUND} tenant=acme\ntool:{TOOL} annotators=any\nhooks:{SIGNING} annotators=any\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def flow(broker: str, folder: Path) -> Iterator[Flow]:
    """A worker with the cheapest of the shipped experts."""
    (folder / "tokens").write_text(TOKENS)
    with flowing(broker, folder, REAL, experts="lexical", device="cpu", tokens_file=folder / "tokens") as flow:
        yield flow


@pytest.fixture(scope="module")
def either(flow: Flow, folder: Path) -> Iterator[Gateway]:
    """A gateway that serves both ways, with the same expert."""
    with gateway(
        flow.settings, folder / "gateway.log", "--mode", "either", "--rate", "10000", "--timeout", "60"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def address(either: Gateway) -> str:
    return either.address()


async def ready(address: str) -> None:
    async def is_ready() -> bool:
        return (await get(address, "/readyz"))[0] == 200

    await eventually_async(is_ready, awaited="/readyz")


class TestOpenAIsClient:
    async def test_it_has_the_verdict_that_the_worker_published(self, flow: Flow, address: str) -> None:
        answer = await asyncio.to_thread(client(address, SVC).moderations.create, input=[HARMLESS, HARMFUL])
        assert [result.flagged for result in answer.results] == [False, True]
        assert answer.model == "aegis-permissive"
        details = [result.aegis for result in answer.results]  # type: ignore[attr-defined]
        verdicts = await flow.verdicts(*(detail["turn_id"] for detail in details))
        assert [verdict.score for verdict in verdicts] == [detail["score"] for detail in details]
        assert [verdict.source.offset for verdict in verdicts] == [detail["source"]["offset"] for detail in details]
        assert {detail["mode"] for detail in details} == {"topics"}

    async def test_the_asynchronous_one_has_many_at_once(self, address: str) -> None:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=SVC, max_retries=0) as many:
            answers = await asyncio.gather(*(many.moderations.create(input=f"text {n}") for n in range(100)))
        assert len({answer.results[0].aegis["turn_id"] for answer in answers}) == 100  # type: ignore[attr-defined]

    async def test_at_once_it_has_the_same_score_and_no_turn_is_recorded(self, flow: Flow, address: str) -> None:
        await ready(address)
        create = client(address, SVC).moderations.create
        direct = await asyncio.to_thread(create, input=[HARMLESS, HARMFUL], extra_headers={"Aegis-Mode": "direct"})
        topics = await asyncio.to_thread(create, input=[HARMLESS, HARMFUL])
        scores = [[result.aegis["score"] for result in one.results] for one in (direct, topics)]  # type: ignore[attr-defined]
        assert scores[0] == scores[1]
        detail = direct.results[0].aegis  # type: ignore[attr-defined]
        assert (detail["mode"], detail["source"], detail["ask_label"]) == ("direct", None, False)
        recorded = await flow.until(flow.names.verdicts, lambda records: len(records) >= 2)
        assert detail["turn_id"] not in repr([record.value for record in recorded])

    async def test_what_it_says_of_a_conversation_reaches_the_turn(self, flow: Flow, address: str) -> None:
        about = {
            "conversation_id": unique("c"),
            "role": "assistant",
            "history": [{"role": "user", "text": "before"}],
            "metadata": {"request": "17"},
        }
        create = client(address, BOUND).moderations.create
        answer = await asyncio.to_thread(create, input="Well.", extra_body={"aegis": about})
        (verdict,) = await flow.verdicts(answer.results[0].aegis["turn_id"])  # type: ignore[attr-defined]
        assert (verdict.conversation_id, verdict.role, verdict.tenant) == (
            about["conversation_id"],
            "assistant",
            "acme",
        )
        assert verdict.metadata == {"request": "17"}

    async def test_it_raises_its_own_errors(self, address: str) -> None:
        create = client(address, SVC).moderations.create
        image: Any = [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]
        with pytest.raises(openai.BadRequestError) as bad:
            await asyncio.to_thread(create, input=image)
        assert bad.value.code == "image_not_supported"
        assert "images are not moderated here" in bad.value.message
        with pytest.raises(openai.AuthenticationError):
            await asyncio.to_thread(client(address, "wrong-token-of-nobody").moderations.create, input="x")
        extra = {"Aegis-Tenant": "other"}
        with pytest.raises(openai.PermissionDeniedError):
            await asyncio.to_thread(client(address, BOUND).moderations.create, input="x", extra_headers=extra)
        with pytest.raises(openai.APIStatusError) as large:
            await asyncio.to_thread(create, input="x" * 70_000)
        assert large.value.status_code == 413


async def test_the_same_request_under_the_same_key_is_one_turn(flow: Flow, address: str) -> None:
    key = {"Idempotency-Key": unique("key")}
    answers = [await post(address, "/v1/moderations", {"input": "Once."}, SVC, **key) for _ in range(3)]
    again = await post(address, "/v1/moderations", {"input": "Twice."}, SVC, **key)
    details = [body["results"][0]["aegis"] for status, body in answers if status == 200]
    assert len(details) == 3
    assert details[0] == details[1] == details[2]
    assert again[1]["results"][0]["aegis"]["turn_id"] != details[0]["turn_id"]


async def test_the_trace_of_a_request_is_carried_on_by_its_turn(flow: Flow, address: str) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    _, body = await post(address, "/v1/moderations", {"input": "Traced."}, SVC, traceparent=parent)
    turn_id = body["results"][0]["aegis"]["turn_id"].encode()

    def mine(records: list[Any]) -> list[Any]:
        return [record for record in records if turn_id in record.value]

    records = await flow.until(flow.names.turns, lambda records: bool(mine(records)))
    assert dict(mine(records)[0].headers) == {"traceparent": parent.encode()}


async def test_a_conversation_is_read_by_the_worker_in_the_order_of_the_inputs(flow: Flow, address: str) -> None:
    about = {"conversation_id": unique("c")}
    _, body = await post(address, "/v1/moderations", {"input": ["one", "two", "three"], "aegis": about}, SVC)
    offsets = [result["aegis"]["source"]["offset"] for result in body["results"]]
    assert offsets == sorted(offsets)
    assert len({result["aegis"]["source"]["partition"] for result in body["results"]}) == 1


class TestLabels:
    async def test_a_label_from_http_is_learned(self, flow: Flow, address: str) -> None:
        tenant = unique("taught")
        _, body = await post(address, "/v1/moderations", {"input": HARMFUL, "aegis": {"tenant": tenant}}, SVC)
        detail = body["results"][0]["aegis"]
        label = self.of(detail["turn_id"], tenant=tenant, source=detail["source"])
        label["conversation_id"] = detail["conversation_id"]
        status, answer = await post(address, "/v1/labels", label, SVC)
        assert (status, answer) == (202, {"results": [{"status": "accepted", "turn_id": detail["turn_id"]}]})
        weights = await flow.weights(f"{tenant}/user", lambda weights: weights.rounds == 1)
        assert weights.ensemble_loss > 0
        labels = await flow.until(flow.names.labels, lambda records: bool(records))
        assert any(b'"annotator":"svc"' in record.value for record in labels)

        async def known_at_once() -> bool:
            asked = {"input": "And now?", "aegis": {"tenant": tenant, "mode": "direct"}}
            status, body = await post(address, "/v1/moderations", asked, SVC)
            return status == 200 and body["results"][0]["aegis"]["rounds"] == 1

        await eventually_async(known_at_once, awaited="the label in verdicts at once")

    async def test_of_a_list_with_one_that_is_no_good_none_is_sent(self, address: str) -> None:
        good, bad = self.of("good"), {**self.of("bad"), "label": "no label"}
        status, answer = await post(address, "/v1/labels", [good, bad, 5, {**good, "annotator": "somebody"}], SVC)
        assert status == 400
        assert [result["status"] for result in answer["results"]] == ["not_sent", "refused", "refused", "refused"]
        assert [result.get("reason") for result in answer["results"]] == [None, "wrong_type", "not_json", "annotator"]
        assert "none is sent" in answer["error"]["message"]

    async def test_a_tool_labels_in_the_names_of_people(self, address: str) -> None:
        status, _ = await post(address, "/v1/labels", [{**self.of("x"), "annotator": "ann"}], TOOL)
        assert status == 202

    async def test_a_signed_delivery_needs_no_token_and_an_unsigned_one_does(self, address: str) -> None:
        body, now = json.dumps({**self.of("x"), "annotator": "ann"}).encode(), int(time.time())
        key = parse(f"hooks:{SIGNING}")[0].key
        assert key is not None
        headers = {ID: "msg_1", TIMESTAMP: str(now), SIGNATURE: sign(key, "msg_1", now, body)}
        assert (await post(address, "/v1/labels", body, None, **headers))[0] == 202
        assert (await post(address, "/v1/labels", body + b" ", None, **headers))[0] == 401
        assert (await post(address, "/v1/labels", body, None))[0] == 401
        assert (await post(address, "/v1/labels", body, SIGNING))[0] == 401

    @staticmethod
    def of(turn_id: str, **fields: Any) -> dict[str, Any]:
        common = {"conversation_id": "c", "label": "unsafe", "labelled_at": "2026-01-01T00:00:00Z"}
        return {"turn_id": turn_id, **common, **fields}


async def test_a_text_that_came_while_no_worker_ran_is_answered_when_one_does(flow: Flow, address: str) -> None:
    assert await asyncio.to_thread(flow.worker.terminate) == 0
    asked = asyncio.create_task(post(address, "/v1/moderations", {"input": "Is anybody there?"}, SVC))
    await eventually_async(lambda: _waiting(address, 1), awaited="a text waiting")
    await asyncio.to_thread(lambda: flow.worker.start().ready())
    status, body = await asked
    assert status == 200, body


async def test_what_is_asked_is_counted_and_described_and_no_text_is_in_the_log(either: Gateway) -> None:
    address = either.address()
    secret = unique("a text that nobody logs")
    assert (await post(address, "/v1/moderations", {"input": secret}, SVC))[0] == 200
    assert (await post(address, "/v1/moderations", {"input": secret, "aegis": {"role": secret}}, SVC))[0] == 400
    assert (await get(address, "/made/up"))[0] == 401
    _, text = await get(address, "/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["aegis_gateway_requests_total", "/v1/moderations", "200"] >= 1
    assert samples["aegis_gateway_requests_total", "/v1/moderations", "400"] >= 1
    assert samples["aegis_gateway_requests_total", "other", "401"] >= 1
    assert samples["aegis_gateway_texts_waiting",] == 0
    status, description = await get(address, "/openapi.json")
    assert status == 200
    assert json.loads(description)["openapi"] == "3.1.0"
    for leaked in (secret, SVC, BOUND, TOOL, SIGNING):
        assert leaked not in either.text() + text


async def test_without_a_worker_the_wait_ends_and_says_what_became_of_the_turn(
    topics: Settings, tmp_path: Path
) -> None:
    limits = ("--timeout", "0.5", "--waiting", "3", "--rate", "0.01", "--burst", "8")
    with gateway(topics, tmp_path / "log", *limits) as running:
        address = running.address()
        slow = asyncio.create_task(post(address, "/v1/moderations", {"input": ["a", "b", "c"]}))
        await eventually_async(lambda: _waiting(address, 3), awaited="three texts waiting")
        status, body = await post(address, "/v1/moderations", {"input": "d"})
        assert (status, body["error"]["code"]) == (503, "overloaded")
        status, body = await slow
        assert (status, body["error"]["code"]) == (504, "timeout")
        assert "it comes on the topic still" in body["error"]["message"]
        with pytest.raises(openai.InternalServerError) as late:
            await asyncio.to_thread(client(address, retries=5).moderations.create, input="e")
        assert late.value.response.headers["x-should-retry"] == "false"
        # Eight at once, of which 3 + 1 + 1 were asked for: the client did not try again.
        with pytest.raises(openai.RateLimitError) as limited:
            await asyncio.to_thread(client(address).moderations.create, input=["f", "g", "h", "i"])
        assert int(limited.value.response.headers["Retry-After"]) > 50


async def test_a_gateway_that_is_told_to_end_answers_what_it_has(topics: Settings, tmp_path: Path) -> None:
    with gateway(topics, tmp_path / "log", "--timeout", "1.5") as running:
        address = running.address()
        asked = asyncio.create_task(post(address, "/v1/moderations", {"input": ["a", "b", "c"]}))
        await eventually_async(lambda: _waiting(address, 3), awaited="three texts waiting")
        code = await asyncio.to_thread(running.terminate)
        status, body = await asked
        assert (code, status, body["error"]["code"]) == (0, 504, "timeout")


async def _waiting(address: str, texts: int) -> bool:
    return f"aegis_gateway_texts_waiting {texts}.0" in (await get(address, "/metrics"))[1]
