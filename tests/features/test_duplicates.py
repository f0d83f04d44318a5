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


def slow_groups(texts: list[str], threshold: float) -> tuple[int, ...]:
    """Every pair compared, as the definition says."""
    runs = [
        {tuple(text.split()[i : i + 5]) for i in range(max(len(text.split()) - 4, 1))}
        for text in texts
    ]
    group = list(range(len(texts)))
    for i, one in enumerate(runs):
        for j, other in enumerate(runs[:i]):
            if len(one & other) >= threshold * len(one | other):
                group = [group[j] if g == group[i] else g for g in group]
    order = {g: n for n, g in enumerate(dict.fromkeys(group))}
    return tuple(order[g] for g in group)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("block", [7, 512])
def test_no_pair_is_missed_where_runs_are_common(block, threshold, monkeypatch):
    """Few words, so that most runs occur often, and copies with one word changed."""
    monkeypatch.setattr("needlepoint.features.duplicates.BLOCK", block)
    for seed in range(4):
        draw = np.random.default_rng(seed)
        texts = [list(draw.choice(list("abcdef"), draw.integers(0, 25))) for _ in range(60)]
        for text in [list(text) for text in texts[:30] if len(text) > 6]:
            text[draw.integers(len(text))] = "z"
            texts.append(text)
        joined = [" ".join(text) for text in texts]
        assert duplicate_groups(joined, threshold=threshold) == slow_groups(joined, threshold)


def test_thousands_of_texts_of_one_template_stay_apart_but_for_the_planted_pair():
    head = "the capital of the country that is called"
    texts = [f"{head} {' '.join(words(seed, 12))}" for seed in range(3000)]
    texts.append(texts[1234].rsplit(" ", 1)[0] + " another")
    groups = duplicate_groups(texts)
    assert len(set(groups)) == 3000
    assert groups[3000] == groups[1234]


def test_thousands_of_copies_are_one_group():
    assert set(duplicate_groups([" ".join(words(0, 30))] * 4000)) == {0}
