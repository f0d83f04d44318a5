"""What is kept of single heads is what the model does, bounded, and right by construction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.evaluation import head_views as module
from needlepoint.evaluation.head_views import Codes, HeadViews, head_views, shown_heads
from needlepoint.evaluation.read_heads import HeadReading
from needlepoint.evaluation.read_pairs import read_pairs
from needlepoint.evaluation.study import Study
from needlepoint.models.attention import attention_patterns
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts

HEADS = [2, 3]


@pytest.fixture(scope="module")
def small() -> PlantedModel:
    return planted_model(n_heads=3, n_layers=2)


@pytest.fixture(scope="module")
def reading(small: PlantedModel) -> HeadReading:
    prompts = planted_prompts(small, n_pairs=12)
    return read_pairs(small.model, prompts, Autoencoder(n_codes=40, n_steps=30, n_seeds=2))


@pytest.fixture(scope="module")
def codes(reading: HeadReading) -> Codes:
    data = reading.data
    dictionary = data.autoencoder.fit_z(data.z, data.W_O, torch.Generator().manual_seed(0))
    return Codes(dictionary, dictionary.read_z(data.z, data.W_O), data.W_O)


@pytest.fixture(scope="module")
def views(small: PlantedModel, codes: Codes) -> HeadViews:
    return head_views(small.model, planted_prompts(small, n_pairs=12), HEADS, codes)


def test_patterns_are_those_of_each_prompt_alone(small: PlantedModel, views: HeadViews) -> None:
    prompts = planted_prompts(small, n_pairs=12)
    for row in views.attention.to_dict("records"):
        ids = (prompts.clean_ids if row["side"] == "clean" else prompts.corrupt_ids)[row["pair"]]
        layer, head = (int(part[1:]) for part in row["site"].split("."))
        batch = small.model.batch([ids])
        alone = attention_patterns(small.model, batch, [layer])[layer][0, head]
        n = len(alone)
        assert len(row["weights"]) == n * (n + 1) // 2
        np.testing.assert_allclose(row["weights"], alone[np.tril_indices(n)], atol=2e-6)
        assert len(row["codes"]) == n


def test_the_induction_head_looks_at_what_followed(small: PlantedModel, views: HeadViews) -> None:
    """The planted head of layer 1 looks, at the end, at the token after the last one's first."""
    last = {f"L{head.layer}.H{head.index}" for head in small.heads if head.layer == 1}
    for row in views.attention.to_dict("records"):
        if row["site"] not in last or row["side"] == "corrupt":
            continue
        tokens = next(
            one.tokens
            for one in views.shown.itertuples()
            if (one.pair, one.side) == (row["pair"], row["side"])
        )
        n = len(tokens)
        final = row["weights"][-n:]
        assert int(np.argmax(final)) == tokens[:-1].index(tokens[-1]) + 1


def test_codes_are_counted_over_prompts_and_uniqueness_is_what_it_says(
    codes: Codes, views: HeadViews
) -> None:
    whole = codes.reading.codes[0].masked_fill(codes.reading.silent[0], -1)
    for row in views.codes.to_dict("records"):
        head = {"L0.H2": 2, "L1.H0": 3}[row["site"]]
        clean, corrupt = whole[:12, head], whole[12:, head]
        assert row["n_clean"] == int((clean == row["code"]).sum())
        assert row["n_corrupt"] == int((corrupt == row["code"]).sum())
        alone = row["n_clean"] > 0 and row["n_corrupt"] == 0
        assert row["unique"] == (alone and row["code"] >= 0)
        assert len(row["tokens"]) == len(row["counts"]) <= module.MOST_EXAMPLES
    assert views.codes.groupby("site").size().max() <= module.MOST_CODES


def test_what_is_kept_is_bounded(small: PlantedModel, codes: Codes) -> None:
    prompts = planted_prompts(small, n_pairs=12)
    views = head_views(small.model, prompts, HEADS, codes)
    assert len(views.shown) == 2 * module.MOST_PAIRS
    assert len(views.attention) == 2 * module.MOST_PAIRS * len(HEADS)
    assert len(shown_heads(torch.arange(500), 400)) == module.MOST_HEADS


def test_without_a_dictionary_there_are_patterns_and_no_codes(small: PlantedModel) -> None:
    views = head_views(small.model, planted_prompts(small, n_pairs=12), HEADS, None)
    assert views.codes.empty
    assert views.attention["codes"].isna().all()
    assert len(views.attention) > 0


def test_long_prompts_are_left_out(
    small: PlantedModel, codes: Codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 3)
    views = head_views(small.model, planted_prompts(small, n_pairs=12), HEADS, codes)
    assert views.shown.empty
    assert views.attention.empty


def test_attention_that_cannot_be_read_leaves_the_codes(
    small: PlantedModel, codes: Codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("needlepoint.models.attention.SOFTMAX", ())
    views = head_views(small.model, planted_prompts(small, n_pairs=12), HEADS, codes)
    assert views.attention.empty
    assert len(views.codes) > 0


def test_a_study_shows_the_heads_that_matter(heads_study: Study) -> None:
    heads = heads_study.tables["heads"]
    shown = set(heads_study.tables["attention"]["site"])
    assert set(heads["site"][heads["matters"]]) <= shown
    assert "looking at heads" in heads_study.record.summary["seconds"]
