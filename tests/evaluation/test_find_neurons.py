"""A token-level fact is found, a tossed coin is not, and test rows choose nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from needlepoint._core.errors import DataError, NeedlepointError, UnknownNameError
from needlepoint._core.records import RunFolder, jsonable
from needlepoint._core.seeds import seed_for
from needlepoint.evaluation import read_neurons as reading
from needlepoint.evaluation.configs import (
    DELETING,
    DELETIONS,
    METHODS,
    RANKED,
    RANKINGS,
    NeuronsConfig,
)
from needlepoint.evaluation.find_neurons import (
    BY_PLACE,
    ask_collection,
    find_neurons,
    judge_neurons,
)
from needlepoint.evaluation.study import Study
from needlepoint.features.split import split_collection
from needlepoint.probing import deletion, ranking_methods, selectors
from needlepoint.probing.selectors import SELECTORS
from needlepoint.report import build_report

CHOSEN = ("curve", "neurons", "depth", "equivalent", "null")
"""Tables of what was chosen, and from what."""


WHAT_WAS_CHOSEN = ("site", "sign", "k_best", "layer_best", "n_equivalent", "token_probe")


def features_of(study: Study) -> dict[str, dict]:
    return {one["feature"]: one for one in study.record.summary["features"]}


def test_which_vocabulary_it_is_is_told_by_one_neuron(neurons_study: Study) -> None:
    high = features_of(neurons_study)["high"]
    assert (high["verdict"], high["carried_by"]) == ("explained by token identity", "one neuron")
    assert high["f1_one"]["low"] > 0.9
    assert high["token_f1"]["estimate"] == 1
    assert high["p_value"] == 1 / 61
    assert high["saturated"], "tokens that differ are told apart by many neurons"
    answer = neurons_study.record.summary["answer"]
    assert answer.startswith("A single neuron of tiny llama is enough for 1 of 2 features;")
    assert f"the surest, {high['site']}, tells high: F1 1.00" in answer
    assert "For 1 of the 1 features that are present, which tokens a text has tells" in answer


def test_a_tossed_coin_is_not_found_beside_it(neurons_study: Study) -> None:
    coin = features_of(neurons_study)["coin"]
    assert coin["verdict"] == "not present"
    assert coin["p_value"] > 0.05
    assert neurons_study.record.summary["shuffled"]["found"] == 0
    assert "nothing was found" in neurons_study.record.summary["shuffled"]["text"]


def test_labels_at_random_find_nothing(tiny, toy, neurons_config) -> None:
    config = replace(neurons_config, max_k=2, random_neurons=1, cards=1)
    for seed in (1, 2, 3):
        study = judge_neurons(tiny, toy(seed=seed, high=False), config)
        assert features_of(study)["coin"]["verdict"] == "not present", seed
        assert study.record.summary["answer"] == (
            "No neuron of tiny llama tells any of the 1 features from chance."
        )


def test_record_and_tables_are_as_the_design_notes_say(neurons_study: Study, promised) -> None:
    columns, keys = promised("probe")
    assert {name: list(frame.columns) for name, frame in neurons_study.tables.items()} == columns
    summary = jsonable(neurons_study.record.summary)
    assert keys["collection"] - {""} <= set(summary["collection"])
    assert set(summary["collection"]["split"]) == {"train", "validation", "test"}
    assert sum(summary["collection"]["split"].values()) == 80
    for one in summary["features"]:
        assert keys["features"] <= set(one)
    assert keys["shuffled"] <= set(summary["shuffled"])
    assert {"question", "answer", "not_established", "settings", "seconds"} <= set(summary)
    assert (neurons_study.record.cell, neurons_study.record.kind) == ("probe.toy", "probe")


def test_figures_of_the_record_are_those_of_the_tables(neurons_study: Study) -> None:
    tests = neurons_study.tables["tests"].set_index(["feature", "probe"])
    neurons = neurons_study.tables["neurons"]
    for name, one in features_of(neurons_study).items():
        row = tests.loc[(name, "one neuron")]
        assert one["f1_one"] == {
            "low": row["f1_low"],
            "estimate": row["f1"],
            "high": row["f1_high"],
        }
        assert one["site"] == row["sites"]
        assert one["f1_best"]["estimate"] == tests.loc[(name, "sparse"), "f1"]
        assert one["k_best"] == tests.loc[(name, "sparse"), "k"]
        assert one["f1_dense"] == tests.loc[(name, "dense"), "f1"]
        assert one["baseline_f1"] == tests.loc[(name, "majority"), "f1"]
        assert one["null_f1"] == tests.loc[(name, "shuffled labels"), "f1"]
        assert one["token_f1"]["estimate"] == tests.loc[(name, one["token_probe"]), "f1"]
        assert one["embedding_f1"] == tests.loc[(name, "embedding"), "f1"]
        assert one["random_basis_f1"] == tests.loc[(name, "random basis"), "f1"]
        assert one["random_f1"] == tests.loc[(name, "random neurons"), "f1"]
        ties = neurons_study.tables["equivalent"].query("feature == @name")
        assert len(ties) == min(one["n_equivalent"], 50)
        assert one["equivalent"] == ties["site"].tolist()[:10]
        first = neurons[(neurons["feature"] == name) & (neurons["rank"] == 0)].iloc[0]
        assert (first["site"], first["sign"]) == (one["site"], one["sign"])
        assert one["optimism"] == pytest.approx(first["f1_validation"] - row["f1"])
        assert one["n_positive"] == 40
    chosen = neurons_study.tables["ablation"]
    assert set(zip(chosen["feature"], chosen["sites"], strict=True)) == {
        (name, one["site"]) for name, one in features_of(neurons_study).items()
    }


def test_what_must_not_be_overlooked_is_said(neurons_study: Study) -> None:
    said = neurons_study.record.summary["cautions"]
    perfect = features_of(neurons_study)["high"]["n_perfect"]
    assert said[0].startswith(f"More neurons than one have a validation F1 of 1 (high {perfect})")


@pytest.mark.parametrize("method", ["top_k", "swap"])
def test_other_ways_of_selecting_run_through(method: str, tiny, toy, neurons_config) -> None:
    config = replace(neurons_config, method=method, random_neurons=1, cards=1, ablate_features=1)
    study = judge_neurons(tiny, toy(coin=False), config)
    assert study.record.summary["settings"]["method"] == method
    assert features_of(study)["high"]["carried_by"] == "one neuron"


def test_probes_are_certified_on_request(tiny, toy, neurons_config, promised) -> None:
    config = replace(neurons_config, certify=2, random_neurons=1, cards=1, ablate_features=1)
    study = judge_neurons(tiny, toy(coin=False), config)
    found = study.tables["certificates"]
    assert list(found.columns) == promised("probe")[0]["certificates"]
    assert found["k"].tolist() == [1, 2] * 3
    assert found["ridge"].tolist() == [1, 1, 10, 10, 100, 100]
    train = study.record.summary["collection"]["split"]["train"]
    assert found["gamma"].tolist() == pytest.approx((found["ridge"] / train**0.5).tolist())
    assert (found["status"] == "exact").all()
    assert (found["bound"] <= found["objective"] + 1e-9).all()
    assert found["overlap"].between(0, found["k"]).all()
    kept = features_of(study)["high"]["layer_best"]
    assert (found["layer"] == kept).all()
    (chosen,) = found[found["chosen"]].to_dict("records")
    best = found["f1_validation"].max()
    assert (chosen["k"], chosen["f1_validation"], best) == (1, 1, 1), "one neuron is enough here"
    row = study.tables["tests"].set_index("probe").loc["certified"]
    assert (row["sites"], row["k"], row["layer"]) == (chosen["sites"], 1, kept)
    for name in ("f1", "f1_low", "f1_high", "mcc", "auc", "f1_validation"):
        assert row[name] == chosen[name], name
    assert row["auc_low"] <= row["auc"] <= row["auc_high"]
    assert (found["difference"] == found["f1"] - found["sweep_f1"]).all()
    assert (found["reason"] == "").all()


def test_certified_probes_change_nothing_else(tiny, toy, neurons_study, neurons_config) -> None:
    study = judge_neurons(tiny, toy(), replace(neurons_config, certify=1))
    rest = set(study.tables) - {"tests", "certificates"}
    same(neurons_study, study, tuple(rest))
    tests = study.tables["tests"].query("probe != 'certified'").reset_index(drop=True)
    assert_frame_equal(tests, neurons_study.tables["tests"])
    assert study.record.summary["features"] == neurons_study.record.summary["features"]


def same(one: Study, two: Study, names: tuple[str, ...]) -> None:
    for name in names:
        assert_frame_equal(one.tables[name], two.tables[name], check_exact=True)


def test_the_same_config_gives_the_same_tables(tiny, toy, neurons_study, neurons_config) -> None:
    again = judge_neurons(tiny, toy(), neurons_config)
    same(neurons_study, again, tuple(neurons_study.tables))
    assert again.record.summary["features"] == neurons_study.record.summary["features"]
    for name, values in neurons_study.arrays.items():
        assert np.array_equal(values, again.arrays[name]), name


def relabelled(tiny, toy, config: NeuronsConfig, part: str, monkeypatch) -> Study:
    """The study with the labels of one part turned round, on the split of the true labels."""
    plain = toy()
    split = split_collection(
        plain, seed=seed_for(config.seed, features=config.features, use="split")
    )
    labels = plain.labels.copy()
    rows = getattr(split, part)
    labels[rows] = ~labels[rows]
    monkeypatch.setattr(reading, "split_collection", lambda *_, **__: split)
    quick = replace(config, random_neurons=1, cards=1, ablate_features=1)
    return judge_neurons(tiny, dataclasses.replace(plain, labels=labels), quick)


def test_test_labels_choose_nothing(tiny, toy, neurons_study, neurons_config, monkeypatch) -> None:
    turned = relabelled(tiny, toy, neurons_config, "test", monkeypatch)
    same(neurons_study, turned, CHOSEN)
    for name in neurons_study.arrays:
        assert np.array_equal(neurons_study.arrays[name], turned.arrays[name]), name
    for before, after in zip(
        neurons_study.record.summary["features"], turned.record.summary["features"], strict=True
    ):
        for key in (*WHAT_WAS_CHOSEN, "p_value", "q_value", "n_perfect"):
            assert before[key] == after[key], key
    assert features_of(turned)["high"]["f1_one"]["estimate"] == 0
    assert features_of(turned)["high"]["verdict"] == "not present"
    columns = ["feature", "probe", "layer", "k", "sites", "f1_validation"]
    assert_frame_equal(neurons_study.tables["tests"][columns], turned.tables["tests"][columns])
    del columns[1]
    before, after = (study.tables["tests_by_k"] for study in (neurons_study, turned))
    assert_frame_equal(before[columns], after[columns])
    assert (before["f1"] != after["f1"]).any()


@pytest.mark.parametrize("part", ["train", "validation"])
def test_the_other_labels_choose(
    part: str, tiny, toy, neurons_study, neurons_config, monkeypatch
) -> None:
    turned = relabelled(tiny, toy, neurons_config, part, monkeypatch)
    for name in CHOSEN[:3]:
        with pytest.raises(AssertionError):
            same(neurons_study, turned, (name,))


def test_labels_of_tokens_have_p_values_from_shifts(tiny, token_level, neurons_config) -> None:
    study = judge_neurons(tiny, token_level, replace(neurons_config, random_neurons=2))
    (one,) = jsonable(study.record.summary)["features"]
    assert one["p_value"] == one["q_value"] == 1 / 61
    assert one["null_scheme"] == "labels shift within documents"
    assert one["verdict"] == "explained by token identity"
    assert one["f1_dense"] > one["baseline_f1"] + 0.1
    assert study.record.summary["shuffled"]["found"] == 0
    null = study.tables["null"]
    assert len(null) == 60
    assert one["observed"] > null["largest"].max()
    assert BY_PLACE in study.record.summary["not_established"]


def test_what_shifts_cannot_tell_is_said_only_where_labels_shift(neurons_study: Study) -> None:
    assert BY_PLACE not in neurons_study.record.summary["not_established"]


def test_labels_that_cannot_be_moved_have_a_reason_in_place_of_a_p_value(
    tiny, toy, neurons_config
) -> None:
    plain = toy(coin=False)
    labels = plain.labels.copy()
    labels[0] = ~labels[0]
    study = judge_neurons(
        tiny,
        dataclasses.replace(plain, labels=labels),
        replace(neurons_config, seed=_training_seed(plain), random_neurons=1, cards=1),
    )
    (one,) = jsonable(study.record.summary)["features"]
    assert (one["p_value"], one["q_value"]) == (None, None)
    assert "in so few of them" in one["p_value_reason"]
    assert one["carried_by"] == "one neuron", "without a p-value the scores decide"
    assert study.tables["null"].empty
    assert "p_value" not in study.arrays


def _training_seed(collection) -> int:
    """A seed whose split has the first document in the training part."""
    for seed in range(30):
        found = split_collection(
            collection, seed=seed_for(seed, features="programming_language", use="split")
        )
        if 0 in found.train:
            return seed
    raise AssertionError


def test_so_few_permutations_that_nothing_could_count_are_made_enough(
    tiny, toy, neurons_config
) -> None:
    """With one permutation the smallest p-value there can be is 1 / 2."""
    config = replace(neurons_config, permutations=1, random_neurons=1, ablate_features=1, max_k=1)
    study = judge_neurons(tiny, toy(), config)
    assert study.record.summary["settings"]["permutations"] == 40
    assert "(40 permutations)" in study.record.summary["shuffled"]["text"]
    assert features_of(study)["high"]["p_value"] == 1 / 41
    assert features_of(study)["high"]["carried_by"] == "one neuron"


def test_ablation_of_the_surest_features_only(tiny, toy, neurons_config) -> None:
    config = replace(neurons_config, ablate_features=1, random_neurons=1, cards=1, max_k=1)
    study = judge_neurons(tiny, toy(), config)
    assert set(study.tables["ablation"]["feature"]) == {"high"}
    excerpts = study.tables["excerpts"]
    assert set(excerpts["feature"]) == {"high", "coin"}
    assert excerpts["site"].nunique() <= 2


def test_without_texts_to_show_none_are_read_and_the_page_says_the_rest(
    tiny, toy, neurons_config, tmp_path
) -> None:
    study = judge_neurons(tiny, toy(), replace(neurons_config, cards=0))
    assert study.tables["excerpts"].empty
    assert study.tables["histograms"].empty
    assert features_of(study)["high"]["carried_by"] == "one neuron"
    run = RunFolder.create(tmp_path / "run", kind="neurons", config={})
    study.save(run)
    assert "one neuron" in build_report(run.path).read_text(encoding="utf-8")


def test_a_file_of_texts_ends_in_a_run_folder(tiny, neurons_config, tmp_path) -> None:
    rng = np.random.default_rng(0)
    letters = {"yes": list("abc"), "no": list("XYZ")}
    labels = ["yes", "no"] * 20
    texts = ["".join(rng.choice(letters[label], 14)) for label in labels]
    path = tmp_path / "letters.csv"
    pd.DataFrame({"text": texts, "label": labels}).to_csv(path, index=False)
    config = replace(neurons_config, features=str(path), random_neurons=2)
    study = find_neurons(tiny, config)
    run = RunFolder.create(tmp_path / "run", kind="neurons", config={})
    record = study.save(run)
    assert set(record.tables) == set(study.tables)
    (kept,) = run.records()
    assert kept.summary["features"][0]["verdict"] not in ("not present", "weak")
    assert kept.config["features"] == str(path)
    for name, frame in study.tables.items():
        assert len(run.table(record.cell, name)) == len(frame), name
    assert run.arrays(record.cell)["f1_train"].shape == (1, 3, 48)


def test_an_unknown_collection_names_the_nearest(tiny) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'programming_language'"):
        find_neurons(tiny, NeuronsConfig(features="programing_language"))


def test_labels_where_a_feature_is_not_asked_change_nothing(tiny, apart, neurons_config) -> None:
    study = judge_neurons(tiny, apart, neurons_config)
    other = dataclasses.replace(apart, labels=apart.labels ^ ~apart.members)
    again = judge_neurons(tiny, other, neurons_config)
    same(study, again, tuple(study.tables))
    assert study.record.summary["features"] == again.record.summary["features"]
    assert study.record.summary["collection"] == again.record.summary["collection"]
    assert features_of(study)["high"]["carried_by"] == "one neuron"
    assert features_of(study)["coin"]["verdict"] == "not present"
    for place, name in enumerate(apart.features):
        asked = apart.members[:, place]
        assert features_of(study)[name]["n_positive"] == apart.labels[asked, place].sum()
        histogram = study.tables["histograms"]
        (counted,) = set(histogram[histogram["feature"] == name].groupby("site")["count"].sum())
        assert counted == asked.sum()


def test_members_of_every_row_are_the_same_as_none(
    tiny, toy, neurons_study, neurons_config
) -> None:
    members = np.ones((80, 2), dtype=bool)
    again = judge_neurons(tiny, dataclasses.replace(toy(), members=members), neurons_config)
    same(neurons_study, again, tuple(neurons_study.tables))
    assert neurons_study.record.summary["features"] == again.record.summary["features"]


SPEC_FILE = """
import dataclasses
import numpy as np
from needlepoint.features import Card, Collection, CollectionSpec

CARD = Card("own", "Own", "Digits or letters.", "made", "MIT", "by rule", (), "mean")


def load(encoder, *, n_per_feature, n_tokens, seed, source):
    texts = [("7" if i % 2 else "x") * (4 + i % 3) for i in range(2 * n_per_feature)]
    ids = tuple(tuple(encoder.encode(text)) for text in texts)
    n = len(ids)
    return Collection(
        card=CARD, question="?", ids=ids, documents=tuple(map(str, range(n))),
        rows=np.array([[i, 0, len(row)] for i, row in enumerate(ids)]), reduce="mean",
        features=("digits",), labels=np.array([[i % 2 == 1] for i in range(n)]),
        texts=tuple(f"{i} {source} {n_tokens} {seed}" for i in range(n)),
    )


SPEC = CollectionSpec(CARD, ("digits",), load, n_tokens=9, sources=("packages", "hub"))
"""


def test_a_collection_of_a_python_file_is_asked_as_the_config_says(tiny, tmp_path) -> None:
    path = tmp_path / "own.py"
    path.write_text(SPEC_FILE)
    found = ask_collection(NeuronsConfig(features=str(path), examples=7), tiny.encoder)
    assert len(found.rows) == 14
    assert found.texts[3] == "3 packages 9 0"
    config = NeuronsConfig(features=str(path), tokens=5, source="hub", seed=4)
    assert ask_collection(config, tiny.encoder).texts[0] == "0 hub 5 4"
    with pytest.raises(DataError, match="own has no source 'disk'; it has packages and hub"):
        ask_collection(replace(config, source="disk"), tiny.encoder)


def test_a_table_has_no_other_source(tiny, tmp_path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("text,label\na,yes\n")
    with pytest.raises(DataError, match="is the source itself; leave out source"):
        ask_collection(NeuronsConfig(features=str(path), source="hub"), tiny.encoder)


def test_the_names_of_a_config_are_those_of_the_registries() -> None:
    assert set(METHODS) == set(SELECTORS)
    assert (set(RANKINGS), RANKINGS[0]) == (set(ranking_methods.RANKINGS), selectors.RANKING)
    assert (set(DELETIONS), DELETIONS[0]) == (set(deletion.DELETIONS), selectors.DELETION)
    for option, able in (("scores", RANKED), ("deletion", DELETING)):
        assert set(able) == {name for name in SELECTORS if option in SELECTORS[name].options}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ranking": "acu"}, "unknown ranking 'acu': did you mean 'auc'"),
        ({"deletion": "wold"}, "unknown deletion 'wold': did you mean 'wald'"),
        ({"method": "forward", "ranking": "auc"}, "forward starts from no ranking; use it with"),
        ({"method": "paper", "deletion": "wald"}, "paper deletes by no rule; use it with"),
    ],
)
def test_a_ranking_or_rule_that_cannot_be_used_is_told_at_once(settings, words) -> None:
    with pytest.raises(NeedlepointError, match=words):
        NeuronsConfig(**settings)


def test_the_ranking_that_is_asked_for_says_which_neurons_lead(tiny, toy, neurons_config) -> None:
    config = replace(neurons_config, method="top_k", random_neurons=1, cards=1, ablate_features=1)
    found = {}
    for ranking in ("mean_difference_std", "f_statistic", "random"):
        study = judge_neurons(tiny, toy(coin=False), replace(config, ranking=ranking))
        assert study.record.config["ranking"] == ranking
        found[ranking] = study.tables["tests_by_k"]
    assert_frame_equal(found["mean_difference_std"], found["f_statistic"])
    assert (found["random"]["sites"][:4] != found["f_statistic"]["sites"][:4]).all()
