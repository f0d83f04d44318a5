"""Docstring prompts have the published form, and each corruption replaces what it says.

Arguments are read back from the finished Python text by an independent pattern.
"""

from __future__ import annotations

import ast
import keyword
import re
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.tasks import docstring
from needlepoint.tasks.word_lists import COMMON_WORDS, VARIABLES

N = 40
HEADER = re.compile(r'\ndef (\w+)\(self, ([\w, ]+)\):\n    """(\w+ \w+ \w+)\n\n')
PARAM = re.compile(r"    :param (\w+): (\w+ \w+)\n")


class Read(NamedTuple):
    method: str
    definition: list[str]
    documented: list[str]
    about: list[str]


def read(text: str) -> Read:
    header = HEADER.match(text)
    assert header is not None, text
    params = PARAM.findall(text)
    assert text.endswith("\n    :param")
    assert text == header[0] + "".join(f"    :param {n}: {w}\n" for n, w in params) + "    :param"
    return Read(
        header[1],
        header[2].split(", "),
        [name for name, _ in params],
        [*header[3].split(), *(word for _, words in params for word in words.split())],
    )


@pytest.fixture(scope="module")
def prompts(encoder):
    return docstring.make(encoder, n_pairs=N)


def test_the_parameters_are_the_published_ones(prompts):
    for pair in prompts.pairs:
        found = read(pair.clean)
        assert len(found.definition) == 6, "two before, three that match, one after"
        assert found.documented == found.definition[2:4]
        assert pair.answer == f" {found.definition[4]}"
        assert set(pair.wrongs) == {f" {name}" for name in found.definition} - {pair.answer}
        assert len(found.about) == 3 + 2 * 2


def test_the_clean_prompt_goes_on_as_python(prompts):
    for pair in prompts.pairs:
        ast.parse(pair.clean + pair.answer + ': last one\n    """\n')


def test_no_name_or_word_comes_twice_by_chance(prompts):
    for pair in prompts.pairs:
        found = read(pair.clean)
        names = [found.method, *found.definition, *found.about]
        assert len(set(names)) == len(names)
    assert not set(VARIABLES) & set(COMMON_WORDS)


def test_variables_can_be_names_in_python():
    assert len(set(VARIABLES)) == len(VARIABLES) >= 100
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in VARIABLES)


@pytest.mark.parametrize("corruption", list(docstring.CORRUPTIONS))
def test_a_corruption_replaces_what_it_says(encoder, prompts, corruption):
    corrupted = docstring.make(encoder, n_pairs=N, corruption=corruption)
    assert [pair.clean for pair in corrupted.pairs] == [pair.clean for pair in prompts.pairs]
    replaced = {
        "random_random": ([2, 3, 4], [0, 1]),
        "random_answer": ([4], []),
        "random_def": ([2, 3], []),
        "random_doc": ([], [0, 1]),
    }[corruption]
    for pair in corrupted.pairs:
        clean, corrupt = read(pair.clean), read(pair.corrupt)
        assert (clean.method, clean.about) == (corrupt.method, corrupt.about)
        for part, where in zip(("definition", "documented"), replaced, strict=True):
            before, after = getattr(clean, part), getattr(corrupt, part)
            differ = [i for i in range(len(before)) if before[i] != after[i]]
            assert differ == where
            assert not {after[i] for i in where} & {clean.method, *clean.definition}
        answer_is_there = pair.answer.strip() in re.findall(r"\w+", pair.corrupt)
        assert answer_is_there == (corruption in ("random_def", "random_doc"))


def test_positions_point_at_the_arguments(encoder, prompts):
    for index, ids in enumerate(prompts.clean_ids):
        at = {role: where[index] for role, where in prompts.positions.items()}
        assert set(at) == {"def_a", "def_b", "def_c", "doc_a", "doc_b", "end"}
        assert ids[at["def_c"]] == prompts.answer_ids[index][0]
        assert ids[at["def_a"]] == ids[at["doc_a"]] == prompts.wrong_ids[index][0]
        assert ids[at["def_b"]] == ids[at["doc_b"]] == prompts.wrong_ids[index][1]
        assert at["def_c"] < at["doc_a"] < at["doc_b"] < at["end"] == len(ids) - 1
        assert encoder.pieces([ids[at["def_c"]]]) == [prompts.pairs[index].answer]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 12))
def test_pairs_are_distinct_and_a_longer_list_only_adds(encoder, seed, n):
    for corruption in docstring.CORRUPTIONS:
        longer = docstring.make(encoder, n_pairs=12, seed=seed, corruption=corruption)
        assert docstring.make(encoder, n_pairs=n, seed=seed, corruption=corruption) == (
            longer.first(n)
        )
        assert len({pair.clean for pair in longer.pairs}) == 12
        assert [len(ids) for ids in longer.corrupt_ids] == list(longer.lengths)


def test_the_seed_decides(encoder):
    first = docstring.make(encoder, n_pairs=6)
    assert docstring.make(encoder, n_pairs=6, seed=1).pairs != first.pairs


def test_too_few_single_token_names_are_refused(bytes_only):
    with pytest.raises(DataError, match=rf"holds 0 of {len(VARIABLES)} variable names .*needs 12"):
        docstring.make(bytes_only, n_pairs=4)


def test_too_few_single_token_words_are_refused(encoder, monkeypatch):
    monkeypatch.setattr(docstring, "COMMON_WORDS", COMMON_WORDS[:6])
    with pytest.raises(DataError, match=r"holds 6 of 6 common words in one token .*needs 7"):
        docstring.make(encoder, n_pairs=4)


def test_unknown_corruption_and_bad_count_are_refused(encoder):
    with pytest.raises(UnknownNameError, match="did you mean 'random_doc'"):
        docstring.make(encoder, n_pairs=4, corruption="random_dog")
    with pytest.raises(DataError, match="n_pairs is 1; it must be at least 2"):
        docstring.make(encoder, n_pairs=1)
