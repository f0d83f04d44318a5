"""One pass without a store gives what the stored activations give, and reads no test row."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from needlepoint._core.errors import DataError, OneClassError, UnknownNameError
from needlepoint._core.progress import progress_bars
from needlepoint._core.seeds import seed_for
from needlepoint.activations.class_sums import ClassSums
from needlepoint.evaluation import first_pass as module
from needlepoint.evaluation.first_pass import first_pass, memory_bytes
from needlepoint.evaluation.neuron_rankings import COLUMNS, METHODS
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.features.split import Split
from needlepoint.models.model import Model
from needlepoint.testing.tiny import tiny_model


def stored(model: Model, collection) -> NeuronData:
    return read_neurons(model, collection, seed=seed_for(0, features="toy", use="split"))


def test_rankings_are_those_of_the_stored_activations(tiny, apart, monkeypatch) -> None:
    """Features on rows of their own; a pilot and a buffer of a few rows, so that all is cut."""
    monkeypatch.setattr(module, "PILOT_ROWS", 9)
    monkeypatch.setattr(module, "BUFFER_ROWS", 11)
    found = first_pass(tiny, apart, batch_tokens=64).rankings
    data = stored(tiny, apart)
    for feature in range(3):
        of = data.of(feature)
        labels = data.labels[of.train, feature]
        for layer in range(3):
            acts = data.layer(layer)[of.train]
            sums = ClassSums()
            sums.update(acts.double(), labels[:, None])
            at = (feature, layer)
            difference = sums.standardized_mean_difference()[0]
            close = {"rtol": 1e-4, "atol": 1e-5, "check_dtype": False}
            torch.testing.assert_close(
                found.by["mean_difference"].score[at], sums.mean_difference()[0], **close
            )
            standard = found.by["mean_difference_std"]
            torch.testing.assert_close(standard.score[at], difference.abs(), **close)
            assert torch.equal(standard.sign[at].double(), difference.sign())
            torch.testing.assert_close(
                found.by["f_statistic"].score[at], sums.f_statistic()[0], rtol=2e-4, atol=1e-4,
                check_dtype=False,
            )  # fmt: skip
            auc = found.by["auc"]
            for neuron in (0, 17, 47):
                exact = roc_auc_score(labels, acts[:, neuron])
                assert auc.low[at][neuron] - 1e-6 <= exact <= auc.high[at][neuron] + 1e-6
            sums = ClassSums()
            sums.update(
                data.layer(layer)[of.validation].double(),
                data.labels[of.validation, feature][:, None],
            )
            torch.testing.assert_close(
                found.validation[at], sums.standardized_mean_difference()[0], **close
            )


def test_the_result_does_not_depend_on_how_texts_are_batched(tiny, toy, monkeypatch) -> None:
    whole = first_pass(tiny, toy()).rankings
    monkeypatch.setattr(module, "BUFFER_ROWS", 7)
    small = first_pass(tiny, toy(), batch_tokens=40).rankings
    for name in METHODS:
        one, other = whole.by[name], small.by[name]
        assert torch.equal(one.sign, other.sign)
        torch.testing.assert_close(one.score, other.score, rtol=1e-4, atol=1e-5)


def test_the_feature_leads_by_every_ranking_and_the_coin_by_none(tiny, toy) -> None:
    rankings = first_pass(tiny, toy()).rankings
    for name in METHODS:
        strength = rankings.by[name].strength.flatten(1).amax(1)
        assert (strength[0] > 1.3 * strength[1]) == (name != "random"), name
    leading = rankings.leading("best_mcc", 3)
    high = leading[leading.feature == "high"]
    assert (high.score > 0.95).all()
    assert (high.difference * high.difference_validation > 0).all()


def test_a_random_order_follows_from_the_seed_and_not_from_the_labels(tiny, toy) -> None:
    scores = [first_pass(tiny, toy(), seed=seed).rankings.by["random"] for seed in (0, 0, 1)]
    assert torch.equal(scores[0].score, scores[1].score)
    assert not torch.equal(scores[0].score, scores[2].score)
    swapped = dataclasses.replace(toy(), labels=~toy().labels)
    assert torch.equal(first_pass(tiny, swapped).rankings.by["random"].score, scores[0].score)
    drawn = scores[0].score.flatten()
    assert len(drawn.unique()) == len(drawn)
    assert abs(float(drawn.mean()) - 0.5) < 4 / (12 * len(drawn)) ** 0.5


def test_test_rows_and_their_texts_are_not_read(tiny, toy, monkeypatch) -> None:
    run, shown = tiny.hidden, []
    monkeypatch.setattr(type(tiny), "hidden", lambda model, batch: _noted(run, batch, shown))
    collection = toy()
    found = first_pass(tiny, collection)
    read = np.concatenate([found.split.train, found.split.validation])
    assert (found.rows, found.texts) == (len(read), len(read))
    unread = {collection.ids[text] for text in collection.rows[found.split.test, 0]}
    texts = {tuple(row[row != 0].tolist()) for batch in shown for row in batch.ids[:, 1:]}
    assert not texts & {ids for ids in unread if ids not in {collection.ids[t] for t in read}}


def _noted(run, batch, shown):
    shown.append(batch)
    return run(batch)


def test_nothing_is_stored(tiny, toy, own_cache) -> None:
    first_pass(tiny, toy())
    assert not own_cache.exists() or not any(own_cache.rglob("*"))


def test_token_rows(tiny, token_level) -> None:
    found = first_pass(tiny, token_level)
    assert found.rows > 2 * found.texts
    assert found.rankings.by["best_f1"].score.max() > 0.7


def test_size_and_time_are_said_beforehand(tiny, toy, capsys) -> None:
    with progress_bars():
        found = first_pass(tiny, toy())
    said = capsys.readouterr().err
    assert re.match(
        rf"{found.rows} rows x 3 layers x 48 neurons for 2 features, nothing stored: "
        r"[\d.]+ (kB|MB) of memory, about \d+ seconds?\.\n",
        said,
    )


def test_nothing_is_measured_for_nobody(tiny, toy, monkeypatch, capsys) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the rate was measured")

    monkeypatch.setattr(module, "rows_per_second", refuse)
    first_pass(tiny, toy())
    assert capsys.readouterr().err == ""


def test_memory_that_is_said_is_that_of_the_counts_and_sums(tiny, toy, monkeypatch) -> None:
    layers = []
    init = module.LayerStatistics.__init__
    monkeypatch.setattr(
        module.LayerStatistics,
        "__init__",
        lambda self, *a: (layers.append(self), init(self, *a))[1],
    )
    kept = {}
    scores = module.LayerStatistics.scores

    def weigh(self):
        tables = [self.histograms.positive, self.histograms.asked]
        for sums in (self.train, self.validation):
            tables += [sums._means, sums._within]
        kept[id(self)] = sum(table.nbytes for table in tables)
        return scores(self)

    monkeypatch.setattr(module.LayerStatistics, "scores", weigh)
    first_pass(tiny, toy())
    buffers = 3 * 48 * (4 * (module.PILOT_ROWS + module.BUFFER_ROWS) + module.HELD_ROWS)
    assert sum(kept.values()) == memory_bytes(2, 1, 3, 48, 64) - buffers


def test_a_split_of_ones_own(tiny, toy) -> None:
    every = np.arange(80)
    found = first_pass(tiny, toy(), split=Split(every[:40], every[40:60], every[60:]))
    assert (found.rows, len(found.split.train)) == (60, 40)


def test_one_class_among_the_rows_of_a_part_names_the_feature(tiny, toy) -> None:
    every, has = np.arange(80), toy().labels[:, 0]
    for split, part in (
        (Split(every[has], every[~has], every[:0]), "training"),
        (Split(every[:60], np.flatnonzero(has)[-4:], every[:0]), "validation"),
    ):
        with pytest.raises(OneClassError, match=f"{part} rows have .* feature 'high'"):
            first_pass(tiny, toy(), split=split)


def test_two_rows_of_a_part_are_refused_before_the_model_runs(tiny, toy, monkeypatch) -> None:
    monkeypatch.setattr(module, "collect", None)
    split = Split(np.arange(60), np.array([60, 62]), np.arange(0))
    with pytest.raises(DataError, match="validation rows have 2 that feature 'high' is asked on"):
        first_pass(tiny, toy(), split=split)


@pytest.mark.parametrize(("value", "said"), [(torch.nan, "nan"), (-torch.inf, "-inf")])
def test_an_activation_that_is_not_finite_names_its_site(
    tiny, toy, monkeypatch, value, said
) -> None:
    reduce = module.collect

    def broken(*args, **kwargs):
        for chunk in reduce(*args, **kwargs):
            for site, values in chunk.values.items():
                if str(site) == "L1.mlp.neurons":
                    values[2, 5] = value
            yield chunk

    monkeypatch.setattr(module, "collect", broken)
    with pytest.raises(DataError, match=rf"site L1.mlp.neurons, neuron 5, is {said} on row \d+"):
        first_pass(tiny, toy())


def test_float16_overflow_names_the_site(toy) -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.module.model.layers[2].mlp.up_proj.weight.mul_(3e6)
    model.module.half()
    with pytest.raises(
        DataError, match=r"site L2.mlp.neurons, neuron \d+, is -?(inf|nan) .*float32"
    ):
        first_pass(model, toy())


def test_a_silent_neuron_has_no_score_and_never_leads(toy) -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.module.model.layers[1].mlp.up_proj.weight[4] = 0
    rankings = first_pass(model, toy()).rankings
    assert rankings.by["mean_difference_std"].score[:, 1, 4].isnan().all()
    assert (rankings.by["auc"].score[:, 1, 4] == 0.5).all()
    assert (rankings.by["best_mcc"].score[:, 1, 4] == 0).all()
    for name in ("mean_difference", "mean_difference_std", "auc", "best_mcc", "f_statistic"):
        leading = rankings.leading(name, 3 * 48 - 1)
        assert "L1.N4" not in set(leading.site)


def test_the_table_of_leading_neurons(tiny, toy) -> None:
    rankings = first_pass(tiny, toy()).rankings
    table = rankings.leading("auc", 4)
    differences = ["difference", "difference_validation"]
    assert list(table.columns) == [*COLUMNS, *differences, "among", "score_reason"]
    assert table.among.eq("all neurons").all()
    assert table.score_reason.isna().all()
    assert table["rank"].tolist() == [1, 2, 3, 4] * 2
    assert (table.low <= table.score).all()
    assert (table.score <= table.high).all()
    assert ((table.score >= 0.5) == (table.sign == 1)).all()
    for _, group in table.groupby("feature"):
        assert (group.score - 0.5).abs().is_monotonic_decreasing
    assert rankings.leading("f_statistic", 1).low.isna().all()
    with pytest.raises(UnknownNameError, match="unknown ranking 'best_f': did you mean 'best_f1'"):
        rankings.leading("best_f")
    for call in (rankings.leading, rankings.leading_of_layers):
        with pytest.raises(DataError, match="top is 0; it must be at least 1"):
            call("auc", 0)


def test_the_leading_of_layers_are_the_union_over_features(tiny, toy) -> None:
    rankings = first_pass(tiny, toy()).rankings
    chosen = rankings.leading_of_layers("mean_difference_std", 5)
    strength = rankings.by["mean_difference_std"].strength
    for layer in range(3):
        wanted = {n for f in range(2) for n in strength[f, layer].topk(5).indices.tolist()}
        assert set(chosen[layer].nonzero()[:, 0].tolist()) == wanted


def test_the_model_is_left_as_it_was(tiny, toy) -> None:
    first_pass(tiny, toy())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in tiny.module.modules())


def test_a_text_beyond_the_context_is_refused(tiny, toy) -> None:
    collection = toy()
    rows = collection.rows.copy()
    rows[-1, 2] = 256
    collection = dataclasses.replace(collection, ids=(*collection.ids[:-1], (5,) * 256), rows=rows)
    with pytest.raises(DataError, match="has 257 tokens, but tiny llama reads 256 at most"):
        first_pass(tiny, collection)
