"""The dossier of a planted neuron, with a random neuron beside it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from needlepoint._core.errors import UnknownSiteError
from needlepoint.evaluation.dossier.config import DossierConfig
from needlepoint.evaluation.dossier.corpus import Texts
from needlepoint.evaluation.dossier.find import find_dossier, write_dossier
from needlepoint.features.collection import Card, Collection
from needlepoint.models.planted import planted_model

SITE, OTHER = "L0.N7", "L0.N9"


def of(planted, table: str, site: str = SITE) -> pd.DataFrame:
    frame = planted.study.tables[table]
    return frame[frame["sites" if table == "ablation" else "site"] == site]


def test_the_planted_ngrams_are_found_and_no_others(planted) -> None:
    driving = of(planted, "ngrams")
    driving = driving[driving["drives"]]
    assert set(zip(driving["before"], driving["token"], strict=True)) == {("a", "b"), ("", "q")}
    assert driving["group"].nunique() == 2
    first = planted.study.record.summary["neurons"][0]["ngrams"]
    assert first["n_unrelated"] == 2
    assert first["by_length"] == {"1": 24, "2": 24, "3": 0, "4": 0}
    assert first["n_told"] == first["n_firing"] == 48


def test_two_tokens_explain_what_one_does_not(planted) -> None:
    one, other = (neuron["ngrams"]["explained"] for neuron in neurons(planted))
    assert one["pair"] > 0.9
    assert one["pair"] > one["token"] + 0.1
    assert other["pair"] < 0.9


def neurons(planted) -> list[dict]:
    return planted.study.record.summary["neurons"]


def test_it_fires_where_it_was_planted(planted) -> None:
    firing = neurons(planted)[0]["firing"]
    assert firing["sign"] == 1
    assert firing["median"] == 0
    assert firing["share"] == pytest.approx(48 / (48 * 30))
    top = of(planted, "excerpts")
    top = top[top["group"] == "top"]
    chosen = {row["tokens"][row["place"]] for row in top.to_dict("records")}
    assert chosen <= {"b", "q"}
    assert top["document"].is_unique


def test_switching_it_off_costs_loss_where_it_fires_and_nowhere_else(planted) -> None:
    rows = of(planted, "ablation").set_index(["mode", "texts", "positions", "neurons"])
    for mode in ("zero", "mean", "resample"):
        found = rows.loc[(mode, "positive", "after firing", "found")]
        assert found["low"] > 1
        assert found["p_value"] == pytest.approx(1 / 20)
        assert abs(rows.loc[(mode, "positive", "after firing", "random"), "loss_increase"]) < 0.05
    silent = rows.loc[("zero", "negative", "all", "found")]
    assert abs(silent["loss_increase"]) < 1e-6
    assert ("zero", "negative", "after firing", "found") not in rows.index


def test_a_random_neuron_costs_nothing(planted) -> None:
    rows = of(planted, "ablation", OTHER)
    assert rows[rows["neurons"] == "found"]["loss_increase"].abs().max() < 0.05


def test_it_promotes_what_it_was_made_to_promote(planted) -> None:
    logits = of(planted, "logits")
    top = logits[(logits["side"] == "promoted") & (logits["rank"] == 0)].iloc[0]
    assert top["token"] == "c"
    assert top["effect"] == pytest.approx(8 * (1 - 1 / 37), rel=1e-4)


def test_norm_and_bias_are_in_the_record(planted) -> None:
    weights = neurons(planted)[0]["weights"]
    assert weights["bias"] == -1
    assert weights["norm_bias"] == pytest.approx(-(6**0.5))
    assert planted.study.record.summary["weights"]["norm_bias_reason"] == ""


def test_the_answer_names_what_drives_it(planted) -> None:
    answer = planted.study.record.summary["answer"]
    assert answer.startswith("L0.N7 fires on 3.33% of tokens, most strongly at 'b'") or (
        "most strongly at 'q'" in answer
    )
    assert "2 unrelated n-grams drive it" in answer
    assert "promotes 'c'" in answer


def test_the_same_seed_gives_the_same_tables(planted) -> None:
    again = write_dossier(planted.model, planted.texts, None, planted.config)
    for name, frame in planted.study.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], frame)


def test_another_seed_draws_others(planted) -> None:
    config = dataclasses.replace(planted.config, seed=1)
    other = write_dossier(planted.model, planted.texts, None, config)
    assert not other.tables["ablation"].equals(planted.study.tables["ablation"])


def labelled(planted) -> Collection:
    """One feature: the token is what the planted neuron fires on."""
    encoder = planted.model.encoder
    a, b, q = (encoder.encode(letter)[0] for letter in "abq")
    rows, labels = [], []
    for text, ids in enumerate(planted.texts.ids):
        for place in range(1, len(ids)):
            rows.append((text, place, place + 1))
            labels.append((ids[place] == q or ids[place - 1 : place + 1] == (a, b), place % 2 == 0))
    card = Card("planted", "Planted", "d", "s", "l", "by hand", (), "single tokens")
    return Collection(
        card,
        "Which?",
        planted.texts.ids,
        planted.texts.documents,
        np.array(rows),
        "last",
        ("fires", "even"),
        np.array(labels),
    )


def test_with_labels_the_strongest_tokens_all_have_the_feature(planted) -> None:
    plain = Texts(planted.texts.ids[:4], ("p", "q", "r", "s"), "other text")
    config = DossierConfig((SITE,), features="planted", ablate_texts=3, random_neurons=2)
    study = write_dossier(planted.model, plain, labelled(planted), config)
    found = study.record.summary["neurons"][0]["feature"]
    assert found["name"] == "fires"
    assert found["sign"] == 1
    assert found["token_auc"] == 1
    strata = study.tables["strata"].set_index("stratum")
    assert strata.loc["decile 10", "share_of_positives"] == 1
    assert strata.loc["decile 5", "precision"] == 0
    assert strata.loc["decile 5", "precision_high"] > 0
    counts = study.tables["histograms"].groupby("label")["count"].sum()
    assert counts[True] == strata["positives"].sum()
    mistakes = study.tables["mistakes"]
    wrong = mistakes[(mistakes["kind"] == "false positive")]["activation"]
    assert (wrong < 0.5).all()


def test_a_constant_neuron_is_said_to_be_one_and_its_mean_changes_nothing(planted) -> None:
    model = planted_model().model
    with torch.no_grad():
        model.blocks[0].mlp.up.weight[3] = 0
        model.blocks[0].mlp.up.bias[3] = 2
    config = DossierConfig(("L0.N3",), ablate_texts=3, random_neurons=2)
    study = write_dossier(model, planted.texts, None, config)
    assert "constant on these texts" in study.record.summary["answer"]
    ablation = study.tables["ablation"]
    found = ablation[(ablation["neurons"] == "found") & (ablation["mode"] != "zero")]
    assert (found["loss_increase"] == 0).all()
    similar = study.tables["similar"]
    assert (similar["by"] == "output").all()


def test_a_neuron_beyond_the_model_is_refused_before_any_text_is_read(planted) -> None:
    with pytest.raises(UnknownSiteError, match=r"L9\.N0 does not exist: planted has layers 0 to 2"):
        find_dossier(planted.model, DossierConfig(("L9.N0",)))
    with pytest.raises(UnknownSiteError, match="neurons 0 to 63"):
        find_dossier(planted.model, DossierConfig(("L0.N64",)))
