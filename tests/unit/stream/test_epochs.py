"""Since when regret is counted: from where all partitions have answered, once what they published is here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from stream import epochs
from stream.codecs import encode
from stream.counting import Countings
from stream.epochs import Epoch, Epochs
from stream.errors import WriteError
from stream.policies import Policies
from stream.records import Fulfilment, Request, Revocation
from stream.requests import fulfilment_key, revocation_key
from stream.settings import Settings

AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = Epoch()
LIMITED = {"policy": "careful", "policies": {"careful": {"quorum": 2}, "free": {}}, "tenant_policies": {"acme": "free"}}


class View:
    """Has read all when it is told so."""

    def __init__(self) -> None:
        self.has_read, self.failure = asyncio.Event(), KafkaTimeoutError()
        self.fails = False

    async def reads_all(self, partitions: int) -> None:
        if self.fails:
            raise self.failure
        await self.has_read.wait()


class Desk:
    """The topic of requests, two partitions of the state, and who hears of epochs."""

    def __init__(self, **settings: Any) -> None:
        self.view, self.partitions, self.begun, self.offsets = View(), 2, 0, {0: 0, 1: 0}
        loaded = Settings.load(**{"write_timeout": 0.05, **settings})
        self.countings = Countings(Policies(loaded))
        view: Any = self.view
        self.epochs = Epochs(loaded, self.countings, lambda: self.partitions, view, self._begin)
        self.view.has_read.set()

    def _begin(self) -> None:
        self.begun += 1

    def hear(self, key: bytes, request: Request, partition: int = 0) -> int:
        """Returns its offset."""
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        value = encode(request)
        self.countings.requests.learn(
            [SimpleNamespace(partition=partition, offset=offset, key=key, value=value)],
        )
        return offset

    def revoke(self, annotator: str, tenant: str | None = None, partition: int = 0) -> int:
        revocation = Revocation(annotator, tenant, AT, AT, AT)
        return self.hear(revocation_key(revocation), revocation, partition)

    def answer(self, *numbers: int, limits: str = "") -> None:
        """These partitions have carried out all that was heard."""
        through = dict(self.countings.requests.through)
        for number in numbers:
            self.hear(fulfilment_key(number), Fulfilment(number, through, {}, AT, limits))

    def of(self, context: str = "acme/user", known: Epoch | None = FIRST) -> str:
        return str(self.epochs.of(context, known))


async def test_an_epoch_begins_when_every_partition_has_answered_and_of_the_tenants_it_is_about() -> None:
    desk = Desk()
    offset = desk.revoke("mallory", "acme")
    desk.answer(0)
    await desk.epochs.look()
    assert (desk.of(), desk.begun) == ("", 0)
    desk.answer(1)
    await desk.epochs.look()
    await desk.epochs.look()
    assert (desk.of(), desk.of("other/user"), desk.begun) == (f"+0.{offset}", "", 1)
    later = desk.revoke("mallory")
    desk.answer(0, 1)
    await desk.epochs.look()
    assert (desk.of(), desk.of("other/user"), desk.begun) == (f"+0.{later}", f"+0.{later}", 2)


async def test_it_has_no_effect_before_the_moments_that_were_counted_anew_have_come_to_the_view() -> None:
    desk = Desk()
    desk.view.has_read.clear()
    desk.revoke("mallory")
    desk.answer(0, 1)
    looking = asyncio.create_task(desk.epochs.look())
    await asyncio.sleep(0)
    assert (desk.of(), desk.begun, looking.done()) == ("", 0, False)
    desk.view.has_read.set()
    await looking
    assert (desk.of(), desk.begun) == ("+0.0", 1)


async def test_a_broker_that_does_not_say_what_there_is_to_read_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.view.fails = True
    desk.revoke("mallory")
    desk.answer(0, 1)
    with pytest.raises(WriteError, match="is all of it online"):
        await desk.epochs.prepare()
    assert desk.begun == 0
    desk.epochs._is_prepared.set()
    monkeypatch.setattr(epochs, "LOOK_SECONDS", 0.001)
    running = asyncio.create_task(desk.epochs.run())
    await asyncio.sleep(0.02)
    assert (desk.begun, running.done()) == (0, False)
    desk.view.fails = False
    await asyncio.sleep(0.02)
    running.cancel()
    assert (desk.of(), desk.begun) == ("+0.0", 1)


async def test_it_is_never_an_earlier_one_also_while_a_partition_that_was_added_has_not_answered() -> None:
    desk = Desk()
    desk.revoke("mallory")
    desk.answer(0, 1)
    await desk.epochs.look()
    desk.partitions = 3
    await desk.epochs.look()
    assert (desk.of(), desk.begun) == ("+0.0", 1)
    begins_meanwhile = Desk()
    begins_meanwhile.partitions = 3
    begins_meanwhile.revoke("mallory")
    begins_meanwhile.answer(0, 1)
    await begins_meanwhile.epochs.look()
    assert begins_meanwhile.of(known=Epoch({0: 0})) == "+0.0"


async def test_a_revocation_in_another_partition_of_the_topic_begins_one_whatever_its_offset() -> None:
    desk = Desk()
    for number in range(4):
        desk.revoke(f"{number}", partition=1)
    desk.answer(0, 1)
    await desk.epochs.look()
    assert desk.of() == "+1.3"
    offset = desk.revoke("mallory")
    desk.answer(0, 1)
    await desk.epochs.look()
    assert desk.of() == f"+0.{offset}+1.3"


async def test_annotators_trusted_otherwise_begin_one_of_their_tenants_once_every_partition_counts_so() -> None:
    desk = Desk(**LIMITED)
    ours = desk.countings.limits_digest().hex()
    desk.answer(0, limits="of older settings")
    desk.answer(1, limits=ours)
    await desk.epochs.look()
    known = Epoch({}, "the older ones")
    assert desk.of("other/user", known) == "~the older ones"
    assert desk.of("new/user", None) == "~?"
    desk.answer(0, limits=ours)
    await desk.epochs.look()
    assert desk.of("other/user", known) == desk.of("third/user") != "~the older ones"
    assert desk.of("acme/user", known) == "", "its policy limits nobody"


async def test_where_nobody_was_ever_limited_and_nobody_has_answered_a_context_begins_without_an_epoch() -> None:
    desk = Desk()
    desk.view.has_read.clear()
    await desk.epochs.prepare()
    assert (desk.of(known=None), desk.begun) == ("", 0)


async def test_a_generation_begins_with_what_was_answered_before_it_or_not_at_all() -> None:
    desk = Desk()
    desk.revoke("mallory")
    desk.answer(0, 1)
    desk.view.has_read.clear()
    with pytest.raises(WriteError, match=r"moments.v1 was not read to its end in 0.05 s: is all of it online\?"):
        await desk.epochs.prepare()
    desk.view.has_read.set()
    await desk.epochs.prepare()
    assert desk.of() == "+0.0"


@pytest.mark.parametrize("epoch", [Epoch(), Epoch({0: 17}), Epoch({2: 5, 0: 7}, "ab12"), Epoch({}, "ab12")])
def test_what_is_written_is_read_again_behind_a_fingerprint(epoch: Epoch) -> None:
    assert Epoch.read(f"0123456789abcdef{epoch}") == epoch
