"""`DiscreteSAE` keeps scikit-learn's contract, and is the autoencoder that the scores use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

import needlepoint
from needlepoint._core.errors import DataError
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.estimators import DiscreteSAE

SMALL = DiscreteSAE(n_codes=8, n_steps=15, random_state=0)


@pytest.fixture(scope="module")
def heads() -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(20, 5, 12, generator=rng, dtype=torch.float64)


@parametrize_with_checks([SMALL, DiscreteSAE(n_codes=4, n_steps=3, silent_code=True)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_it_is_the_public_name():
    assert needlepoint.DiscreteSAE is DiscreteSAE


def test_it_is_the_autoencoder_of_the_scores(heads):
    found = clone(SMALL).set_params(n_train_examples=10).fit(heads)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    config = Autoencoder(n_codes=8, n_steps=15, n_train_examples=10)
    expected = config.fit(heads, torch.Generator().manual_seed(seed))
    assert torch.equal(found.transform(heads), expected(heads)[0])
    assert found.loss_ == float(expected.loss)
    assert found.n_steps_ == 15


def test_defaults_are_those_of_the_paper_but_for_the_training_examples():
    params = DiscreteSAE().get_params()
    assert (params["n_codes"], params["sparsity"], params["n_steps"]) == (200, 0.02, 500)
    assert (params["learning_rate"], params["plateau"], params["silent_code"]) == (
        1e-3,
        None,
        False,
    )
    assert params["n_train_examples"] is None
    kept = set(vars(Autoencoder())) - {"n_seeds"}
    assert kept == set(params) - {"random_state"}


def test_heads_arrays_frames_and_tensors_give_the_same_codes(heads):
    fitted = clone(SMALL).fit(heads)
    codes = fitted.transform(heads)
    assert isinstance(codes, torch.Tensor)
    assert codes.shape == (20, 5)
    assert not codes.is_floating_point()
    from_numpy = fitted.transform(heads.numpy())
    assert isinstance(from_numpy, np.ndarray)
    np.testing.assert_array_equal(from_numpy, codes.numpy())
    vectors = heads.flatten(0, 1)
    assert torch.equal(fitted.transform(vectors), codes.reshape(-1, 1))
    listed = fitted.transform(heads.numpy().reshape(-1, 12).tolist())
    np.testing.assert_array_equal(listed, codes.reshape(-1, 1).numpy())
    frame = pd.DataFrame(vectors.numpy())
    named = clone(SMALL).fit(frame)
    np.testing.assert_array_equal(
        named.transform(frame), clone(SMALL).fit(vectors).transform(frame)
    )


def test_the_seed_decides_and_labels_do_not(heads):
    labels = np.arange(20) % 2
    one, two = clone(SMALL).fit(heads), clone(SMALL).fit(heads, labels)
    assert torch.equal(one.dictionary_.encoder, two.dictionary_.encoder)
    other = clone(SMALL).set_params(random_state=1).fit(heads)
    assert not torch.allclose(one.dictionary_.encoder, other.dictionary_.encoder)


def test_silence_has_its_own_code_only_on_request():
    """Vectors of length 0 far below every threshold: nothing is active once c is negative."""
    rng = torch.Generator().manual_seed(0)
    heads = torch.randn(40, 2, 6, generator=rng) * 5
    fitted = DiscreteSAE(n_codes=4, n_steps=200, sparsity=2.0, random_state=0).fit(heads)
    silent = fitted.dictionary_.silent(heads)[0]
    assert silent.any()
    assert (fitted.transform(heads)[silent] == 0).all()
    apart = clone(fitted).set_params(silent_code=True).fit(heads).transform(heads)
    assert (apart[silent] == 4).all()
    assert torch.equal(apart[~silent], fitted.transform(heads)[~silent])


def test_score_is_minus_the_loss_and_a_grid_search_can_use_it(heads):
    fitted = clone(SMALL).fit(heads)
    assert fitted.score(heads) == pytest.approx(-fitted.loss_)
    search = GridSearchCV(clone(SMALL), {"n_codes": [2, 16]}, cv=2).fit(heads.flatten(0, 1).numpy())
    assert search.best_params_["n_codes"] in (2, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"n_codes": 1}, "n_codes is 1"), ({"n_train_examples": 21}, "set n_train_examples=20")],
)
def test_settings_that_cannot_be_used_are_refused_by_fit(heads, change, message):
    with pytest.raises(DataError, match=message) as caught:
        clone(SMALL).set_params(**change).fit(heads)
    assert isinstance(caught.value, ValueError)


def test_data_that_cannot_be_used_are_refused(heads):
    fitted = clone(SMALL).fit(heads)
    with pytest.raises(ValueError, match="X has 11 features, but DiscreteSAE is expecting 12"):
        fitted.transform(heads[..., :11])
    with pytest.raises(ValueError, match="X has 11 features, but DiscreteSAE is expecting 12"):
        fitted.transform(heads[..., :11].numpy())
    with pytest.raises(DataError, match=r"a tensor of shape \(12,\) was given"):
        fitted.transform(heads[0, 0])
    broken = heads.clone()
    broken[0, 0, 0] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        fitted.transform(broken)
    with pytest.raises(ValueError, match="NaN"):
        fitted.transform(broken.numpy())
