"""Drawing is stable and distinct, says how much there is, and positions stand on their words."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.tasks import draw

groups = st.lists(st.lists(st.integers(), min_size=1, max_size=8), min_size=1, max_size=4).filter(
    lambda lists: sum(len(set(items)) for items in lists) >= 2
)


@given(groups, st.integers(0, 5), st.data())
def test_the_first_of_a_longer_list_are_the_shorter_list(lists, seed, data):
    total = sum(len(set(items)) for items in lists)
    every = draw.take_turns(lists, total, task="t", seed=seed)
    n = data.draw(st.integers(2, total))
    assert draw.take_turns(lists, n, task="t", seed=seed) == every[:n]
    assert sorted(every) == sorted(item for items in lists for item in set(items))


def test_groups_take_turns_while_they_last():
    taken = draw.take_turns([range(10), range(10, 20), range(20, 22)], 22, task="t", seed=0)
    assert [item // 10 for item in taken[:6]] == [0, 1, 2, 0, 1, 2]
    assert [item // 10 for item in taken[6:10]] == [0, 1, 0, 1]


def test_the_seed_and_the_task_decide_the_order():
    orders = {
        tuple(draw.take_turns([range(30)], 30, task=task, seed=seed))
        for task, seed in product("ab", range(3))
    }
    assert len(orders) == 6


def test_how_many_there_are_is_said():
    with pytest.raises(DataError, match=r"task 't' has only 3 distinct pairs .* at most 3"):
        draw.take_turns([[1, 1, 2], [3]], 4, task="t", seed=0)
    with pytest.raises(
        DataError, match=r"has only 1 distinct pairs .*file of prompt pairs instead"
    ):
        draw.take_turns([[1]], 2, task="t", seed=0)
    with pytest.raises(DataError, match="has only 6 distinct pairs"):
        draw.draw_distinct(lambda rng: int(rng.integers(6)), 7, task="t", seed=0)
    for make in (
        lambda n: draw.take_turns([[1, 2]], n, task="t", seed=0),
        lambda n: draw.draw_distinct(lambda rng: 1, n, task="t", seed=0),
    ):
        with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
            make(1)


@given(st.integers(2, 40), st.integers(0, 5))
def test_drawn_items_are_distinct_usable_and_stable(n, seed):
    def even(rng):
        number = int(rng.integers(200))
        return None if number % 2 else (number, int(rng.integers(1000)))

    def drawn(n):
        return draw.draw_distinct(even, n, task="t", seed=seed, key=lambda item: item[0])

    items = drawn(n)
    assert items == drawn(40)[:n]
    assert len({number for number, _ in items}) == n
    assert all(number % 2 == 0 for number, _ in items)


def test_any_item_may_be_chosen():
    rng = draw.generator("t", 0)
    assert {draw.choose("abc", rng) for _ in range(50)} == set("abc")
    assert draw.generator("t", 0).random() != draw.generator("t", 0, use="other").random()


def test_single_tokens_keeps_order_and_says_what_is_missing(encoder, bytes_only):
    words = ("cold", "zzzq", "hot", "cold")
    assert draw.single_tokens(words, encoder, task="t", kind="words") == ("cold", "hot")
    message = r"holds 0 of 3 words in one token and task 't' needs 2; give the task as a file"
    with pytest.raises(DataError, match=message):
        draw.single_tokens(words, bytes_only, task="t", kind="words")


@given(st.text(alphabet="aé😀日\t\r\n ", min_size=1, max_size=20), st.data())
def test_a_position_is_the_last_token_that_touches_its_stretch(bytes_only, text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    at = draw.positions_of(bytes_only, text, {"role": (start, end)})
    ends = len(text[:end].encode()) - 1
    assert at == {"role": ends, "end": len(text.encode()) - 1}


def test_a_stretch_without_a_token_is_refused(encoder):
    with pytest.raises(DataError, match=r"no token stands at role \(''\)"):
        draw.positions_of(encoder, "It is hot", {"role": (2, 2)})


def test_continues_asks_for_a_cut_before_the_answer(encoder):
    assert draw.continues(encoder, "It is", " hot")
    assert not draw.continues(encoder, "It is ho", "t")
