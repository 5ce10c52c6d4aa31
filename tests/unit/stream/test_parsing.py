"""What takes the place of aiokafka's record."""

from __future__ import annotations

import dataclasses

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher

from stream import parsing


def test_a_record_is_made_of_what_aiokafka_makes_its_own_of_in_the_same_order() -> None:
    parsing.install()
    assert fetcher.ConsumerRecord is parsing.Record
    assert parsing.Record.__struct_fields__ == tuple(field.name for field in dataclasses.fields(ConsumerRecord))
