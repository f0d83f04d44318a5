"""The embedding is what the model looks up; nobody chose the random neurons."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from needlepoint.evaluation.trivial_baselines import embedding_rows, random_neurons, ridge_probe
from needlepoint.models.hooks import record
from needlepoint.probing.sweep import fit_on_support
from needlepoint.testing.tiny import tiny_model


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_embedding_rows_are_what_enters_the_first_block(family: str, toy) -> None:
    model, collection = tiny_model(family), toy()
    found = embedding_rows(model, collection)
    text, start, end = collection.rows[7].tolist()
    with record(model, ["L0.resid.in"]) as kept:
        model.logits(model.batch([collection.ids[text]]))
    (stream,) = kept.values()
    shift = len(model.prefix)
    wanted = stream[0, start + shift : end + shift].mean(0)
    torch.testing.assert_close(found[7], wanted)


@pytest.fixture(scope="module")
def drawn():
    rng = torch.Generator().manual_seed(0)
    acts = torch.randn(120, 700, generator=rng)
    truth = torch.arange(120) % 2 == 0
    acts[truth, :9] += 2
    return acts, truth


def test_random_neurons_are_all_over_the_layer_or_among_the_leading(drawn, generator) -> None:
    acts, truth = drawn
    some = random_neurons(acts, truth, 300, generator)
    assert len(set(some.tolist())) == 300
    assert torch.equal(some, some.sort().values)
    assert int(some.max()) > 600
    leading = random_neurons(acts, truth, 9, generator, among=9)
    assert leading.tolist() == list(range(9))
    assert len(random_neurons(acts, truth, 9, generator, among=4)) == 4


def test_the_penalty_is_the_one_of_best_validation_auc(drawn) -> None:
    acts, truth = drawn
    train, validation = torch.arange(60), torch.arange(60, 100)
    grid = (10.0, 1.0, 0.01)
    found = ridge_probe(acts, truth, train, validation, l2=grid)
    every = torch.arange(700)[None]
    odds = [
        fit_on_support(acts[train], truth[train, None], every, l2=l2).probe(0)(acts).double()
        for l2 in grid
    ]
    assert any(torch.allclose(found.odds, one, atol=1e-4) for one in odds)
    alone = ridge_probe(acts, truth, train, validation, columns=torch.tensor([0, 3]), l2=[0.1])
    two = fit_on_support(acts[train], truth[train, None], torch.tensor([[0, 3]]), l2=0.1)
    torch.testing.assert_close(alone.odds, two.probe(0)(acts).double())
    wanted = truth[validation].numpy()
    best = max(roc_auc_score(wanted, one[validation]) for one in odds)
    assert found.auc_validation == pytest.approx(best)
