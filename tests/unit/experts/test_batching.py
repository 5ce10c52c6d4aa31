import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experts.batching import padded, plan

lengths_of_texts = st.lists(st.integers(1, 600), max_size=60)


@given(lengths_of_texts, st.integers(1, 1000))
def test_every_row_is_in_one_batch(lengths: list[int], budget: int) -> None:
    rows = [int(row) for batch in plan(lengths, budget) for row in batch]
    assert sorted(rows) == list(range(len(lengths)))


@given(lengths_of_texts, st.integers(1, 1000))
def test_a_batch_keeps_the_budget_of_padded_tokens_unless_one_row_alone_exceeds_it(
    lengths: list[int], budget: int
) -> None:
    for batch in plan(lengths, budget):
        assert len(batch) * max(lengths[row] for row in batch) <= budget or len(batch) == 1


@given(lengths_of_texts, st.integers(1, 1000))
def test_rows_go_by_length_so_that_little_is_padded(lengths: list[int], budget: int) -> None:
    in_order = [lengths[row] for batch in plan(lengths, budget) for row in batch]
    assert in_order == sorted(lengths)


def test_the_budget_decides_where_a_batch_ends() -> None:
    assert [batch.tolist() for batch in plan([4, 1, 2, 4], 6)] == [[1, 2], [0], [3]]


def test_rows_are_filled_up_on_the_right() -> None:
    assert padded([[5, 6], [7]], pad=9).tolist() == [[5, 6], [7, 9]]


def test_a_batch_is_at_least_as_wide_as_asked() -> None:
    result = padded([[5]], least=3)
    assert result.tolist() == [[5, 0, 0]]
    assert result.dtype == np.int64
