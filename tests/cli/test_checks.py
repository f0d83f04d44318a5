"""Files are looked at before a model is loaded, and only for what no model could use."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint._core.text import Encoder
from needlepoint.cli.asked import Asked
from needlepoint.cli.checks import check_questions
from needlepoint.evaluation.checks import Words
from needlepoint.evaluation.configs import DEMO_HEADS, DEMO_NEURONS, HeadsConfig, NeuronsConfig

WORDS = Words()


@pytest.mark.parametrize("text", ["one", " one  two\n", "  ", "a\u00e9\U0001f642 b"])
def test_the_stand_in_covers_every_character_once(text: str) -> None:
    assert isinstance(WORDS, Encoder)
    ids, offsets = WORDS.encode_with_offsets(text)
    assert len(ids) == len(offsets) == len(WORDS.pieces(ids))
    assert "".join(text[start:end] for start, end in offsets) == text


def test_prompts_that_only_a_tokenizer_can_judge_pass(tmp_path) -> None:
    path = tmp_path / "pairs.jsonl"
    line = '{"clean": "a b c", "corrupt": "a", "answer": " two words", "wrong": " x"}\n'
    path.write_text(2 * line)
    check_questions(Asked("circuit", "m", configs=(HeadsConfig(task=str(path)),)))
    path.write_text(2 * line.replace(" two words", " x"))
    with pytest.raises(DataError, match="answer and wrong are both"):
        check_questions(Asked("circuit", "m", configs=(HeadsConfig(task=str(path)),)))


def test_the_built_in_questions_pass_and_others_are_named() -> None:
    check_questions(Asked("demo", "m", configs=(DEMO_HEADS, DEMO_NEURONS)))
    with pytest.raises(UnknownNameError, match="did you mean 'ioi'"):
        check_questions(Asked("circuit", "m", configs=(HeadsConfig(task="iioi"),)))
    check_questions(Asked("circuit", "m", configs=(HeadsConfig(corruption="swap"),)))
    with pytest.raises(UnknownNameError, match="unknown corruption of ioi 'swp'"):
        check_questions(Asked("circuit", "m", configs=(HeadsConfig(corruption="swp"),)))
    with pytest.raises(UnknownNameError, match="did you mean 'programming_language'"):
        check_questions(Asked("probe", "m", configs=(NeuronsConfig(features="programing_lang"),)))
