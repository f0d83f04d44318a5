"""What holds for every built-in behaviour: pairs line up, differ, hide the answer, are stable."""

from __future__ import annotations

import re

import pytest

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.tasks import TASKS
from needlepoint.testing.task_contracts import task_faults

NAMES = tuple(TASKS)
HIDDEN = [name for name in NAMES if TASKS[name].answer_hidden]
DRAWN = ("acronym", "docstring", "induction", "ioi")
"""Tasks whose pairs are drawn and not listed: they have thousands."""
OF_BYTES = ("bracket", "greater_than")
"""Tasks that ask for nothing but marks, or digits, in one token, and bytes are."""
SHAPES = {
    "openai-community/gpt2": (12, 12),
    "NeelNanda/Attn_Only_4L512W_C4_Code": (4, 8),
    "callummcdougall/attn_only_2L_half": (2, 12),
}
"""Layers, and heads of each, of the models that circuits were published for."""
CASES = [(name, corruption) for name in NAMES for corruption in TASKS[name].corruptions]
N = 60


@pytest.fixture(params=NAMES)
def task(request):
    return TASKS[request.param]


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_pairs_line_up_and_differ(encoder, name, corruption):
    prompts = TASKS[name](encoder, n_pairs=N, corruption=corruption)
    assert prompts.task == name
    assert prompts.corruption == corruption
    assert prompts.question.endswith("?")
    assert len({pair.clean for pair in prompts.pairs}) == N
    for pair, clean, corrupt in zip(
        prompts.pairs, prompts.clean_ids, prompts.corrupt_ids, strict=True
    ):
        assert len(clean) == len(corrupt)
        assert clean != corrupt
        assert not set(pair.answers) & set(pair.wrongs)


def test_all_tasks_are_asked() -> None:
    assert len(NAMES) >= 12
    assert len(CASES) >= 2 * len(NAMES)
    assert set(NAMES) - set(HIDDEN) == {"ioi", "greater_than", "docstring", "induction"}


def test_the_contract_is_kept(encoder, task):
    assert task_faults(task, encoder) == []


@pytest.mark.parametrize(("name", "corruption"), [case for case in CASES if case[0] in HIDDEN])
def test_the_answer_is_not_in_the_prompt(encoder, name, corruption):
    prompts = TASKS[name](encoder, n_pairs=N, corruption=corruption)
    for i, answers in enumerate(prompts.answer_ids):
        assert not set(answers) & set(prompts.clean_ids[i])
        assert not set(answers) & set(prompts.corrupt_ids[i])


def test_the_answer_is_in_the_prompt_where_it_is_said_to_be(encoder, task):
    """Of tasks that copy or count it is so by nature, and of no other."""
    prompts = task(encoder, n_pairs=N)
    pairs = zip(prompts.answer_ids, prompts.clean_ids, strict=True)
    assert any(set(answers) & set(clean) for answers, clean in pairs) != task.answer_hidden


@pytest.mark.parametrize(("name", "corruption"), CASES)
def test_a_longer_list_only_adds(encoder, name, corruption):
    make = TASKS[name]
    longer, shorter = (make(encoder, n_pairs=n, corruption=corruption) for n in (N, 11))
    assert longer.first(11).sha256 == shorter.sha256
    assert longer.first(11).positions == shorter.positions


def test_every_corruption_has_the_same_clean_prompts(encoder, task):
    made = [task(encoder, n_pairs=N, corruption=name).clean_ids for name in task.corruptions]
    assert len(made) >= 2
    assert all(ids == made[0] for ids in made)


def test_the_seed_decides(encoder, task):
    assert task(encoder, n_pairs=20, seed=1) == task(encoder, n_pairs=20, seed=1)
    assert task(encoder, n_pairs=20, seed=1).clean_ids != task(encoder, n_pairs=20).clean_ids


def test_corrupt_prompts_differ_where_a_position_is_named(encoder, task):
    """Clean and corrupt differ in the named words only; what is not named is the same."""
    for corruption in task.corruptions:
        prompts = task(encoder, n_pairs=N, corruption=corruption)
        assert prompts.positions["end"] == tuple(length - 1 for length in prompts.lengths)
        for i, (clean, corrupt) in enumerate(
            zip(prompts.clean_ids, prompts.corrupt_ids, strict=True)
        ):
            changed = [j for j, (a, b) in enumerate(zip(clean, corrupt, strict=True)) if a != b]
            named = {where[i] for where in prompts.positions.values()}
            if task.name == "greater_than":  # the last token of a year may be the same
                named |= {place - 1 for place in named}
            assert set(changed) & named


def test_the_default_has_200_pairs_and_too_many_are_counted(encoder, task):
    if task.name not in DRAWN:
        with pytest.raises(DataError, match=rf"task '{task.name}' has only (\d+) distinct") as info:
            task(encoder, n_pairs=10**5)
        found = re.search(r"at most (\d+)", str(info.value))
        assert found is not None
        assert int(found[1]) >= 200
    assert task(encoder).n_pairs == 200


def test_a_tokenizer_without_the_words_is_refused(bytes_only, task):
    if task.name in OF_BYTES:
        assert task(bytes_only, n_pairs=4).n_pairs == 4
        return
    with pytest.raises(DataError, match="give the task as a file of prompt pairs instead"):
        task(bytes_only, n_pairs=4)


def test_unknown_corruptions_are_refused(encoder, task):
    with pytest.raises(UnknownNameError, match="unknown corruption of"):
        task(encoder, n_pairs=4, corruption="nothing like it")
    with pytest.raises(UnknownNameError, match="unknown corruption of"):
        task.make(encoder, n_pairs=4, corruption="nothing like it")


def test_circuits_lie_within_their_model(task):
    for circuit in task.circuits:
        layers, heads = SHAPES[circuit.model]
        assert all(0 <= layer < layers and 0 <= head < heads for layer, head in circuit.heads)
        assert all(0 <= layer < layers for layer in circuit.mlps)
