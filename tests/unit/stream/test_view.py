"""What the merged view makes of the records of `moments.v1`, whatever a tenant is called."""

import pytest

from ensemble.moments import zero
from stream import projection
from stream.settings import Settings
from stream.view import MergedView


@pytest.mark.parametrize("context", ["acme/user", "\0baseline/acme/user", "\0partitions/user", "b/user", "/user"])
def test_a_context_of_any_name_is_told_from_counts_and_baselines(context: str) -> None:
    view = MergedView(Settings())
    view.learn(0, projection.COUNTS, b"[4]")
    view.learn(0, projection.baseline_key(context), projection.encode_baseline("print", None))
    view.learn(0, projection.part_key(context), projection.encode_part(7, zero(("e@1",))))
    assert (view.partition_counts, view.contexts(), view.baselines) == ([4], [context], {context: ("print", None)})


def test_a_part_of_an_owner_that_was_overtaken_is_dropped() -> None:
    view = MergedView(Settings())
    view.learn(0, projection.part_key("a/user"), projection.encode_part(7, zero(("new@1",))))
    view.learn(0, projection.part_key("a/user"), projection.encode_part(6, zero(("old@1",))))
    assert view.total("a/user").experts == ("new@1",)
