"""Near-duplicates are found by exact similarity, and nothing else is called one."""

from __future__ import annotations

import numpy as np
import pytest

from needlepoint.features.duplicates import duplicate_groups, merge_documents


def words(seed: int, n: int = 80) -> list[str]:
    return [f"w{i}" for i in np.random.default_rng(seed).integers(0, 10_000, n)]


def test_a_planted_near_duplicate_is_found_among_unrelated_texts():
    texts = [words(seed) for seed in range(30)]
    copy = list(texts[7])
    copy[40] = "changed"
    groups = duplicate_groups([" ".join(text) for text in [*texts, copy]])
    assert groups[30] == groups[7]
    assert len(set(groups)) == 30, "unrelated texts stay apart"


@pytest.mark.parametrize(("kept", "same"), [(54, False), (56, True)])
def test_the_threshold_is_jaccard_of_five_word_runs(kept, same):
    """Two texts of 80 words that share their first `kept`: kept - 4 runs in common, 76 each."""
    first, other = words(0), words(1)
    second = first[:kept] + other[kept:]
    common = kept - 4
    assert (common / (2 * 76 - common) >= 0.5) is same
    first_group, second_group = duplicate_groups([" ".join(first), " ".join(second)])
    assert (first_group == second_group) is same


def test_groups_are_closed_and_short_texts_compare_whole():
    a = words(0)
    b, c = a[12:] + words(1, 12), a[24:] + words(1, 12) + words(2, 12)
    assert len(set(duplicate_groups([" ".join(t) for t in (a, b, c)]))) == 1
    assert duplicate_groups(["x = 1", "x = 2", "x  =  1"]) == (0, 1, 0)
    assert duplicate_groups([]) == ()
    assert duplicate_groups(["", "a b c d e f", ""]) == (0, 1, 0)


def test_text_without_spaces_is_compared_by_character():
    text = "吾輩は猫である名前はまだ無いどこで生れたかとんと見当がつかぬ"
    assert duplicate_groups(
        [text, text[:-2] + "ない", "全く別の文章がここに書いてあるだけです"]
    ) == (0, 0, 1)


def test_documents_that_share_a_window_become_one():
    shared, own, else_ = (" ".join(words(seed)) for seed in range(3))
    merged = merge_documents(["a", "a", "b", "c"], [own, shared, shared, else_])
    assert merged == ("a", "a", "a", "c")
