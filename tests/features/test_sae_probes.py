"""The sae-probes data sets as a collection: last tokens, each prompt once, own rows for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import SourceError
from needlepoint._core.text import Encoder
from needlepoint.features import sae_probes, sae_probes_wheel
from needlepoint.features.sae_probes import SPEC, feature_name, last_tokens
from needlepoint.features.sae_probes_tags import TAGS
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.word_tokenizer import word_tokenizer

MakeWheel = Callable[[dict[str, pd.DataFrame]], Path]
WORDS = TokenizerEncoder(word_tokenizer(["the", "cat", "sat", *map(str, range(120))]))


def made_sets() -> dict[str, pd.DataFrame]:
    """For each set twenty prompts of each class, five of them twice."""
    sets = {}
    for number, tag in enumerate(TAGS):
        words = ("not_bigram", "bigram") if 65 <= int(tag.split("_")[0]) <= 85 else (0, 1)
        rows = [(f"the {number} cat {i} sat", words[i % 2]) for i in range(40)]
        sets[tag] = pd.DataFrame(rows + rows[:10], columns=["prompt", "target"])
    return sets


def test_the_listed_tags_are_113_and_distinct() -> None:
    assert len(set(TAGS)) == len(SPEC.features) == 113
    assert "131_temp_cat_Typical_Time" in SPEC.features


def test_each_set_is_a_feature_on_the_last_tokens_of_its_own_prompts(
    make_wheel: MakeWheel, encoder: Encoder
) -> None:
    make_wheel(made_sets())
    found = SPEC(encoder, n_per_feature=6)
    assert found.features == SPEC.features
    assert found.reduce == "last"
    counts = found.counts()
    assert (counts["positives"] == 6).all()
    assert (counts["negatives"] == 6).all()
    for text, start, end in found.rows:
        assert (start, end) == (len(found.ids[text]) - 1, len(found.ids[text]))
    assert (found.asked.sum(1) == 1).all(), "no two sets share a prompt here"
    assert len(set(found.texts)) == len(found.texts)


def test_a_feature_is_there_where_the_answer_says_so(
    make_wheel: MakeWheel, encoder: Encoder
) -> None:
    make_wheel(made_sets())
    found = SPEC(encoder, n_per_feature=6)
    for tag in ("65_high-school", "87_glue_cola"):
        column = found.features.index(tag)
        for row in found.rows_of(tag):
            number = int(found.texts[found.rows[row, 0]].split()[3])
            assert found.labels[row, column] == (number % 2 == 1)


def test_prompts_that_two_sets_share_are_one_row(make_wheel: MakeWheel, encoder: Encoder) -> None:
    sets = made_sets()
    sets["114_nyc_borough_Manhattan"] = sets["113_movie_sent"]
    make_wheel(sets)
    found = SPEC(encoder, n_per_feature=20)
    assert (found.asked.sum(1) == 2).sum() == 40


def test_a_prompt_with_two_answers_is_left_out(make_wheel: MakeWheel, encoder: Encoder) -> None:
    sets = made_sets()
    both = pd.DataFrame({"prompt": ["is it so", "is it so"], "target": [0, 1]})
    sets["87_glue_cola"] = pd.concat([sets["87_glue_cola"], both])
    make_wheel(sets)
    assert "is it so" not in SPEC(encoder, n_per_feature=60).texts


def test_prompts_about_one_person_are_one_document(make_wheel: MakeWheel, encoder: Encoder) -> None:
    sets = made_sets()
    sets["57_wikidatais_alive"] = pd.DataFrame(
        {"prompt": [f"{i} by Ann Lee" for i in range(9)] + ["Max Ray"], "target": [1] * 9 + [0]}
    )
    make_wheel(sets)
    found = SPEC(encoder, n_per_feature=20)
    of_rows = np.asarray(found.row_documents)[found.rows_of("57_wikidatais_alive")]
    assert set(of_rows) == {"lee", "ray"}
    assert found.card.shortfalls["57_wikidatais_alive"].startswith("9 positive rows from 1 ")


def test_both_sources_give_the_same_collection(make_wheel: MakeWheel, encoder: Encoder) -> None:
    make_wheel(made_sets())
    one, other = (SPEC(encoder, n_per_feature=6, source=source) for source in SPEC.sources)
    assert one.sha256 == other.sha256


def test_tokens_are_kept_for_a_tokenizer_with_a_fingerprint(
    make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(made_sets())
    first = SPEC(WORDS, n_per_feature=6)

    def gone(*_: object) -> None:
        raise SourceError("not now.")

    monkeypatch.setattr(sae_probes_wheel, "fetch", gone)
    monkeypatch.setattr(sae_probes, "_tidy", gone)
    again = SPEC(WORDS, n_per_feature=6)
    assert again.sha256 == first.sha256
    assert again.texts == first.texts
    assert SPEC(WORDS, n_per_feature=6, seed=1).sha256 != first.sha256


@given(
    text=st.text(st.sampled_from("ab éü日\n\t🙂.,"), min_size=1, max_size=200), n=st.integers(1, 40)
)
def test_last_tokens_are_the_end_of_the_text(encoder: Encoder, text: str, n: int) -> None:
    ids, shown = last_tokens(encoder, text, n)
    whole = encoder.encode(text)
    assert 0 < len(ids) == min(n, len(whole))
    assert text.endswith(shown)
    if len(whole) <= n:
        assert ids == tuple(whole)
        assert shown == text


def test_feature_names_have_no_spaces() -> None:
    assert feature_name("152_it tick") == "152_it_tick"
