"""Prompts of indirect object identification are balanced, paired, stable, and about who was named.

The roles are read back from the finished text by an independent rule: of the two names that are
introduced, the subject is the one that occurs twice.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.tasks import ioi
from needlepoint.tasks.ioi_templates import TEMPLATES
from needlepoint.tasks.word_lists import MEN, NAMES, OBJECTS, PLACES, WOMEN

N = 4 * len(TEMPLATES)
WORDS = re.compile(r"[A-Za-z]+")


def people(text: str) -> list[str]:
    """Names in a text, in order; no template word is also a name."""
    return [word for word in WORDS.findall(text) if word in NAMES]


@pytest.fixture(scope="module")
def prompts(encoder):
    return ioi.make(encoder, n_pairs=N)


def test_there_are_enough_templates_and_words():
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 15
    assert len(set(NAMES)) == len(NAMES) >= 60
    assert abs(len(WOMEN) - len(MEN)) <= 8
    in_templates = {word for template in TEMPLATES for word in WORDS.findall(template)}
    assert not in_templates & {*NAMES, *PLACES, *OBJECTS}
    assert not any(thing[0] in "aeiou" for thing in OBJECTS), "each follows 'a'"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_slot_follows_a_space_and_the_answer_comes_next(template):
    assert re.findall(r"(.)\{\w+\}", template) == [" "] * 5
    assert template.endswith(" to")
    assert template.index("{B}") < template.index("{S}")


def test_the_answer_is_the_one_who_is_not_named_again(prompts):
    for pair in prompts.pairs:
        named = Counter(people(pair.clean))
        assert sorted(named.values()) == [1, 2]
        assert named[pair.answer.strip()] == 1
        assert named[pair.wrong.strip()] == 2
        assert (pair.answer[0], pair.wrong[0]) == (" ", " ")


def test_abc_has_three_others_in_the_same_slots(prompts):
    for pair in prompts.pairs:
        others = people(pair.corrupt)
        assert len(others) == len(set(others)) == 3
        assert not set(others) & set(people(pair.clean))
        blank = re.compile("|".join(map(re.escape, {*others, *people(pair.clean)})))
        assert blank.sub("_", pair.clean) == blank.sub("_", pair.corrupt)


def test_swap_makes_the_wrong_answer_right(encoder, prompts):
    swapped = ioi.make(encoder, n_pairs=N, corruption="swap")
    assert [pair.clean for pair in swapped.pairs] == [pair.clean for pair in prompts.pairs]
    for pair in swapped.pairs:
        named = Counter(people(pair.corrupt))
        assert named[pair.wrong.strip()] == 1
        assert named[pair.answer.strip()] == 2
        assert people(pair.corrupt)[:2] == people(pair.clean)[:2]
    for clean, corrupt in zip(swapped.clean_ids, swapped.corrupt_ids, strict=True):
        assert sum(a != b for a, b in zip(clean, corrupt, strict=True)) == 1


def roles(pair) -> tuple[str, str, str]:
    """Who stands in the corrupt prompt as indirect object, first mention and second mention."""
    first, second, giver = people(pair.corrupt)
    subject_first = people(pair.clean)[0] == pair.wrong.strip()
    return (second, first, giver) if subject_first else (first, second, giver)


def test_random_names_keeps_the_pattern_with_two_others(encoder, prompts):
    flipped = ioi.make(encoder, n_pairs=N, corruption="random_names")
    assert [pair.clean for pair in flipped.pairs] == [pair.clean for pair in prompts.pairs]
    for pair in flipped.pairs:
        io, s1, s2 = roles(pair)
        assert s1 == s2 != io
        assert not {io, s1} & set(people(pair.clean))


def test_third_name_names_three_people_both_answers_among_them(encoder, prompts):
    third = ioi.make(encoder, n_pairs=N, corruption="third_name")
    assert [pair.clean for pair in third.pairs] == [pair.clean for pair in prompts.pairs]
    for pair in third.pairs:
        io, s1, s2 = roles(pair)
        assert (s1, s2) == (pair.answer.strip(), pair.wrong.strip())
        assert io not in people(pair.clean)


def test_orders_and_templates_are_balanced(prompts):
    first_is_subject = [people(p.clean)[0] == p.wrong.strip() for p in prompts.pairs]
    assert sum(first_is_subject) == N // 2

    def skeleton(text: str) -> str:
        return WORDS.sub(lambda m: "_" if m[0] in {*NAMES, *PLACES, *OBJECTS} else m[0], text)

    uses = Counter(
        (skeleton(pair.clean), first)
        for pair, first in zip(prompts.pairs, first_is_subject, strict=True)
    )
    assert set(uses.values()) == {2}
    assert len(uses) == 2 * len(TEMPLATES)


def test_pairs_are_distinct_and_a_longer_list_only_adds(encoder, prompts):
    assert len({pair.clean for pair in prompts.pairs}) == N
    assert ioi.make(encoder, n_pairs=10).sha256 == prompts.first(10).sha256
    assert ioi.make(encoder, n_pairs=10).positions == prompts.first(10).positions


def test_the_seed_decides(encoder):
    assert ioi.make(encoder, n_pairs=6, seed=1) == ioi.make(encoder, n_pairs=6, seed=1)
    assert ioi.make(encoder, n_pairs=6, seed=1).pairs != ioi.make(encoder, n_pairs=6).pairs


@pytest.mark.parametrize("corruption", list(ioi.CORRUPTIONS))
def test_positions_point_at_the_names(encoder, corruption):
    prompts = ioi.make(encoder, n_pairs=N, corruption=corruption)
    assert set(prompts.positions) == {"io", "s1", "s2", "end"}
    for i, ids in enumerate(prompts.clean_ids):
        at = {role: where[i] for role, where in prompts.positions.items()}
        assert (ids[at["io"]],) == prompts.answer_ids[i]
        assert (ids[at["s1"]],) == (ids[at["s2"]],) == prompts.wrong_ids[i]
        assert at["s1"] < at["s2"] < at["end"] == len(ids) - 1
        changed = {j for j, id_ in enumerate(ids) if id_ != prompts.corrupt_ids[i][j]}
        all_three = {at["io"], at["s1"], at["s2"]}
        expected = {"swap": {at["s2"]}, "third_name": {at["io"], at["s1"]}}
        assert changed == expected.get(corruption, all_three)


def test_too_few_single_token_names_are_refused(bytes_only):
    with pytest.raises(DataError, match=rf"holds 0 of {len(NAMES)} names in one token .*needs 8"):
        ioi.make(bytes_only, n_pairs=4)


def test_more_pairs_than_exist_are_refused(encoder, monkeypatch):
    monkeypatch.setattr(ioi, "NAMES", NAMES[:8])
    monkeypatch.setattr(ioi, "PLACES", PLACES[:2])
    monkeypatch.setattr(ioi, "OBJECTS", OBJECTS[:2])
    monkeypatch.setattr(ioi, "TEMPLATES", TEMPLATES[:1])
    with pytest.raises(DataError, match=r"only 4\d\d distinct pairs .*ask for at most 4\d\d"):
        ioi.make(encoder, n_pairs=449)  # 8 * 7 names, 2 places, 2 objects, 2 orders: 448


def test_unknown_corruption_and_bad_count_are_refused(encoder):
    with pytest.raises(UnknownNameError, match="did you mean 'swap'"):
        ioi.make(encoder, n_pairs=4, corruption="swop")
    with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
        ioi.make(encoder, n_pairs=1)
