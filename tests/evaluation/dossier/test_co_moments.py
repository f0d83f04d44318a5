"""Streamed correlations, and the neurons they find."""

import numpy as np
import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.evaluation.dossier.co_moments import CoMoments
from needlepoint.evaluation.dossier.corpus import Texts, joined
from needlepoint.evaluation.dossier.reading import read_corpus
from needlepoint.evaluation.dossier.similar import similar_frame
from needlepoint.models.sites import Site
from needlepoint.testing.tiny import tiny_model


def test_correlations_are_numpys_however_rows_are_cut() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200, 7, generator=rng) * 1e-3 + 1e3
    y = x[:, :2] + torch.randn(200, 2, generator=rng) * 1e-3
    expected = np.corrcoef(torch.cat([y, x], 1).double().numpy().T)[:2, 2:]
    for cuts in ([200], [1, 99, 100], [50] * 4):
        sums = CoMoments()
        for rows, others in zip(x.split(cuts), y.split(cuts), strict=True):
            sums.update(rows.split([3, 4], dim=1), others)
        np.testing.assert_allclose(sums.correlation().numpy(), expected, atol=1e-9)


def test_a_unit_that_does_not_vary_has_no_correlation() -> None:
    x = torch.stack([torch.full((5,), 0.1), torch.arange(5.0)], dim=1)
    sums = CoMoments()
    sums.update([x], x[:, 1:])
    assert sums.correlation().isnan().tolist() == [[True, False]]


def test_other_units_cannot_be_joined_and_nothing_has_no_correlation() -> None:
    sums, other = CoMoments(), CoMoments()
    with pytest.raises(DataError, match="no rows were seen"):
        sums.correlation()
    sums.update([torch.ones(2, 3)], torch.ones(2, 1))
    other.update([torch.ones(2, 4)], torch.ones(2, 1))
    with pytest.raises(DataError, match="pass the same units each time"):
        sums.merge(other)


def test_a_negated_twin_is_found_with_its_sign_in_activation_and_in_weights() -> None:
    model = tiny_model("llama")
    mlp = model.blocks[1].mlp
    with torch.no_grad():
        mlp.gate_proj.weight[9] = mlp.gate_proj.weight[3]
        mlp.up_proj.weight[9] = -mlp.up_proj.weight[3]
        mlp.down_proj.weight[:, 20] = -2 * mlp.down_proj.weight[:, 3]
    draw = np.random.default_rng(0)
    ids = tuple(tuple(draw.integers(32, 120, size=20).tolist()) for _ in range(12))
    corpus = joined(Texts(ids, tuple(map(str, range(12))), ""), None, ())
    site = Site.parse("L1.N3")
    found = similar_frame(model, read_corpus(model, corpus, [site]), site)
    first = found[found["rank"] == 0].set_index("by")
    assert first.loc["activation", "other"] == "L1.N9"
    assert first.loc["activation", "value"] == pytest.approx(-1)
    assert first.loc["activation", "lower_half"] == pytest.approx(-1)
    assert first.loc["output", "other"] == "L1.N20"
    assert first.loc["output", "value"] == pytest.approx(-1)
    assert "L1.N3" not in set(found["other"])
    second = found[(found["by"] == "activation") & (found["rank"] == 1)].iloc[0]
    assert abs(second["value"]) < 0.6
