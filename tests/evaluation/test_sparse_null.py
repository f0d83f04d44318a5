"""The null of sparse probes in a study: p is small for what is in the texts, not for a coin."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint._core.records import jsonable
from needlepoint.evaluation.configs import NeuronsConfig
from needlepoint.evaluation.find_neurons import judge_neurons
from needlepoint.evaluation.read_neurons import read_neurons
from needlepoint.evaluation.search_neurons import search, sweep_options
from needlepoint.evaluation.sparse_null import NOT_ASKED, sparse_nulls
from needlepoint.probing import path_null

OPTIONS = sweep_options(
    4, method="adaptive_thresholding", ranking="mean_difference_std", deletion="weight", seed=0
)


def test_a_study_has_a_p_value_of_its_sparse_probes(tiny, toy, neurons_config) -> None:
    config = replace(neurons_config, sparse_null=19, random_neurons=1, cards=1, ablate_features=1)
    study = judge_neurons(tiny, toy(), config)
    high, coin = study.record.summary["features"]
    assert high["p_sparse"] == 1 / 20
    assert study.record.summary["settings"]["sparse_null"] == 19
    table = study.tables["sparse_null"]
    assert table.groupby("feature").size().to_dict() == {"high": 19, "coin": 19}
    assert (table["scheme"] == "documents").all()
    for one in (high, coin):
        draws = table[table["feature"] == one["feature"]]["highest_f1"]
        best = study.tables["curve"].query("feature == @one['feature'] and k <= 4")["f1_validation"]
        reached = (draws >= best.max() - 1e-6).sum()
        assert one["p_sparse"] == pytest.approx((1 + reached) / 20)


def test_p_of_a_tossed_coin_is_anywhere(tiny, toy) -> None:
    p = []
    for seed in range(8):
        data = read_neurons(tiny, toy(seed=seed, high=False), seed=seed)
        (null,) = sparse_nulls(data, 3, n_permutations=19, options=OPTIONS, seed=seed)
        p.append(null.p_value)
    assert 0.25 < sum(p) / len(p) < 0.85
    assert sum(one <= 0.1 for one in p) <= 3


def test_it_is_not_made_unless_asked_for(neurons_study) -> None:
    for one in jsonable(neurons_study.record.summary)["features"]:
        assert one["p_sparse"] is None
        assert one["p_sparse_reason"] == NOT_ASKED
    assert neurons_study.tables["sparse_null"].empty


def test_features_on_rows_of_their_own_are_searched_on_these(tiny, apart, monkeypatch) -> None:
    data = read_neurons(tiny, apart, seed=3)
    found = search(data, 3, max_k=4, n_permutations=1, seed=0, label="toy")
    seen = []
    add = path_null.HighestF1.add
    monkeypatch.setattr(
        path_null.HighestF1, "add", lambda self, *acts: seen.append(self) or add(self, *acts)
    )
    nulls = sparse_nulls(data, 3, n_permutations=9, options=OPTIONS, seed=1)
    assert len(set(map(id, seen))) == len(data.groups)
    assert [null.p_value for null in nulls] == pytest.approx([0.1, nulls[1].p_value, 0.1])
    for search_ in set(seen):
        assert search_.null.shape[0] == 9
    observed = torch.cat([one.observed for one in dict.fromkeys(seen)])
    wanted = [choice.sparse.f1_highest for choice in found.choices]
    order = [feature for group in data.groups for feature in group.features]
    assert observed.tolist() == pytest.approx([wanted[feature] for feature in order])


def test_labels_within_documents_are_shifted(tiny, token_level) -> None:
    data = read_neurons(tiny, token_level, seed=3)
    (null,) = sparse_nulls(data, 3, n_permutations=19, options=OPTIONS, seed=1)
    assert (null.scheme, null.p_value) == ("shift", 1 / 20)


def test_labels_that_cannot_be_moved_have_a_reason(tiny, toy) -> None:
    plain = toy(coin=False)
    data = read_neurons(tiny, plain, seed=3)
    row = int(data.validation[0])
    labels = data.labels.clone()
    labels[row] = ~labels[row]
    (null,) = sparse_nulls(
        dataclasses.replace(data, labels=labels), 3, n_permutations=9, options=OPTIONS, seed=1
    )
    assert (null.p_value, null.scheme) == (None, None)
    assert null.reason.startswith("labels of validation rows vary within documents")


def test_fewer_than_no_moves_are_refused() -> None:
    with pytest.raises(DataError, match="sparse_null is -1"):
        NeuronsConfig(sparse_null=-1)
