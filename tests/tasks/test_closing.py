"""What is opened is closed with its own kind, and nothing is opened in an unopened prompt."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError
from needlepoint.tasks import closing

MAKE = {"bracket": closing.make, "quote": closing.make_quote}
CLOSES = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}


def opened(text: str) -> list[str]:
    return [mark for mark in CLOSES if mark in text]


@pytest.fixture(scope="module", params=MAKE)
def prompts(request, encoder):
    return {
        corruption: MAKE[request.param](encoder, n_pairs=60, corruption=corruption)
        for corruption in ("unopened", "other")
    }


def test_one_mark_is_opened_and_its_own_closes_it(prompts):
    for pair in prompts["other"].pairs:
        (mark,) = opened(pair.clean)
        assert pair.answer == CLOSES[mark]
        assert pair.clean.count(mark) == 1
        kinds = ")]}" if prompts["other"].task == "bracket" else "\"'"
        assert sorted([pair.answer, *pair.wrong]) == sorted(kinds)


def test_the_corrupt_prompt_opens_another_mark_or_none(prompts):
    for unopened, other in zip(prompts["unopened"].pairs, prompts["other"].pairs, strict=True):
        assert opened(unopened.corrupt) == []
        (mark,) = opened(other.corrupt)
        assert CLOSES[mark] in other.wrong
        assert other.corrupt == other.clean.replace(opened(other.clean)[0], mark)


def test_marks_take_turns_and_the_position_is_the_mark(encoder, prompts):
    made = prompts["unopened"]
    kinds = [opened(pair.clean)[0] for pair in made.pairs]
    size = len(set(kinds))
    assert kinds == kinds[:size] * (len(kinds) // size)
    for i, mark in enumerate(kinds):
        token = made.clean_ids[i][made.positions["open"][i]]
        assert mark in encoder.pieces([token])[0]


def test_texts_hold_no_marks_of_their_own():
    for templates in closing.TEMPLATES.values():
        assert len(set(templates)) == len(templates)
        for template in templates:
            assert opened(template.format(noun="x", open="")) == []


def test_a_split_closing_mark_is_refused(encoder):
    class Splits:
        def __getattr__(self, name):
            return getattr(encoder, name)

        def encode(self, text):
            return [0, 1] if text == "}" else encoder.encode(text)

    with pytest.raises(DataError, match="does not hold '}' in one token and task 'bracket'"):
        closing.make(Splits(), n_pairs=4)
