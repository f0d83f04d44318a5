"""Joint rankings are those of the candidates' columns in memory; other neurons have no score."""

from __future__ import annotations

import pytest
import torch

from needlepoint._core.errors import UnknownNameError
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation.candidate_rankings import rank_candidates
from needlepoint.evaluation.first_pass import first_pass
from needlepoint.evaluation.neuron_rankings import CANDIDATE_METHODS, NO_CANDIDATE
from needlepoint.evaluation.read_neurons import NeuronData, read_neurons
from needlepoint.evaluation.second_pass import Candidates, second_pass
from needlepoint.probing.ranking_methods import rank


@pytest.mark.parametrize("by", CANDIDATE_METHODS)
def test_scores_are_those_of_the_columns_in_memory(tiny, apart, by) -> None:
    """Features on rows of their own, against a reading of all neurons."""
    candidates = Candidates.of(first_pass(tiny, apart).rankings, top=5)
    found = rank_candidates(second_pass(tiny, apart, candidates), by, n_neurons=48)
    whole = read_neurons(tiny, apart, seed=seed_for(0, features="toy", use="split"))
    for group in whole.groups:
        labels = whole.labels[group.train][:, list(group.features)]
        for layer, neurons in enumerate(candidates.neurons):
            expected = rank(by, whole.layer(layer)[group.train][:, neurons], labels)
            for row, feature in enumerate(group.features):
                at = (feature, layer, neurons)
                torch.testing.assert_close(
                    found.score[at].double(), expected.scores[row], rtol=1e-6, atol=1e-7
                )
                assert torch.equal(found.sign[at].long(), expected.sign[row].long())


@pytest.mark.parametrize("by", CANDIDATE_METHODS)
def test_neurons_that_are_no_candidates_have_no_score_and_come_last(tiny, toy, by) -> None:
    first = first_pass(tiny, toy())
    candidates = Candidates.of(first.rankings, top=4)
    found = rank_candidates(second_pass(tiny, toy(), candidates), by, n_neurons=48)
    chosen = torch.zeros(3, 48, dtype=torch.bool)
    for layer, neurons in enumerate(candidates.neurons):
        chosen[layer, neurons] = True
    assert torch.equal(found.ranked, chosen)
    assert torch.equal(~found.score.isnan(), chosen.expand(2, -1, -1))
    table = first.rankings.extended(by, found).leading(by, top=3 * 48)
    assert table.among.eq(f"{len(candidates)} candidates").all()
    of_candidates = [bool(chosen[row.layer, row.neuron]) for row in table.itertuples()]
    assert table.score.notna().tolist() == of_candidates
    assert table.score_reason.isna().tolist() == of_candidates
    assert set(table.score_reason.dropna()) == {NO_CANDIDATE}
    high = table[table.feature == "high"]
    assert high.score.isna().tolist() == sorted(high.score.isna())
    ranked = high.score.dropna()
    assert (ranked.sub(found.neutral).abs().diff().dropna() <= 0).all()
    assert high.iloc[0].difference * high.iloc[0].difference_validation > 0


def test_only_the_columns_of_candidates_are_stored_and_read(tiny, toy, monkeypatch) -> None:
    candidates = Candidates.of(first_pass(tiny, toy()).rankings, top=7)
    second = second_pass(tiny, toy(), candidates)
    widths = {f"L{layer}.mlp.neurons": len(n) for layer, n in enumerate(candidates.neurons)}
    assert second.data.extraction.store.request.widths == widths
    assert max(widths.values()) < 48
    read = []
    of_layer = NeuronData.layer

    def noted(data, layer):
        read.append(tuple(of_layer(data, layer).shape))
        return of_layer(data, layer)

    monkeypatch.setattr(NeuronData, "layer", noted)
    rank_candidates(second, "l1_logistic", n_neurons=48)
    assert read == [(80, len(neurons)) for neurons in candidates.neurons]


def test_a_neuron_that_never_changes_has_no_score(tiny, toy, monkeypatch) -> None:
    rankings = first_pass(tiny, toy()).rankings
    second = second_pass(tiny, toy(), Candidates.of(rankings, top=6))
    second.data.layer(0)[:, 2] = 3.0
    found = rank_candidates(second, "linear_svm", n_neurons=48)
    neuron = int(second.candidates.neurons[0][2])
    assert found.score[:, 0, neuron].isnan().all()
    assert found.reason(0, 0, neuron) == "the same on all training rows"


def test_a_ranking_of_all_neurons_is_none_of_candidates(tiny, toy) -> None:
    second = second_pass(tiny, toy(), Candidates.of(first_pass(tiny, toy()).rankings, top=2))
    with pytest.raises(UnknownNameError, match="unknown ranking of candidates 'auc'"):
        rank_candidates(second, "auc", n_neurons=48)
