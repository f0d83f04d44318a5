"""The findings of a dossier in a sentence or two for each neuron, by rules written down here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

DENSE = 0.2
"""Share of tokens from which on a neuron that fires is said to hum along."""
MANY = 8
"""Unrelated n-grams from which on a neuron is called a mixture."""


def answer_of(neurons: Sequence[Mapping[str, Any]], tables: Mapping[str, pd.DataFrame]) -> str:
    """What each neuron fires on, promotes, and is used for."""
    return " ".join(_of_neuron(neuron, tables) for neuron in neurons)


def _of_neuron(neuron: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> str:
    site = neuron["site"]
    if neuron["firing"]["cut"] is None:
        return f"{site} is constant on these texts, so nothing excites it."
    parts = [
        _fires(neuron, tables["excerpts"]),
        _grams(neuron["ngrams"]),
        _feature(neuron, tables["strata"]),
        _writes(site, tables["logits"]),
        _used(site, tables["ablation"]),
    ]
    return " ".join(part for part in parts if part)


def _fires(neuron: Mapping[str, Any], excerpts: pd.DataFrame) -> str:
    site, firing = neuron["site"], neuron["firing"]
    top = excerpts[(excerpts["site"] == site) & (excerpts["group"] == "top")].sort_values("rank")
    words = list(
        dict.fromkeys(
            repr(row["tokens"][row["place"]].strip() or row["tokens"][row["place"]])
            for row in top.to_dict("records")
        )
    )
    side = "" if firing["sign"] > 0 else " (at low values)"
    how = "hums along on" if firing["share"] > DENSE else "fires on"
    strongest = f"most strongly at {_listed(words[:4])}"
    return f"{site} {how} {firing['share']:.2%} of tokens{side}, {strongest}."


def _grams(ngrams: Mapping[str, Any]) -> str:
    told, n = ngrams["n_told"], ngrams["n_unrelated"]
    if not told:
        return "None of the tokens it fires on was seen twice, so n-grams cannot be told."
    token = ngrams["explained"]["token"]
    share = "" if token is None else f"; the token alone explains {max(token, 0.0):.0%} of it"
    word = "n-gram drives" if n == 1 else "unrelated n-grams drive"
    return f"{n} {word} it where it could be told ({told} of {ngrams['n_firing']} tokens){share}."


def _feature(neuron: Mapping[str, Any], strata: pd.DataFrame) -> str:
    found = neuron["feature"]
    if found is None:
        return ""
    rows = strata[(strata["site"] == neuron["site"]) & (strata["stratum"] == "decile 10")]
    row = rows.to_dict("records")[0]
    side = "higher" if found["sign"] > 0 else "lower"
    return (
        f"It is {side} on {found['name']}: {row['precision']:.0%} of the strongest tenth of tokens "
        f"have it ({row['precision_low']:.0%} to {row['precision_high']:.0%}; "
        f"{found['prevalence']:.0%} of all)."
    )


def _writes(site: str, logits: pd.DataFrame) -> str:
    own = logits[logits["site"] == site].sort_values("rank")
    sides = {
        side: [repr(token.strip() or token) for token in own[own["side"] == side]["token"][:3]]
        for side in ("promoted", "suppressed")
    }
    return (
        f"Directly it then promotes {_listed(sides['promoted'])} and suppresses "
        f"{_listed(sides['suppressed'])}."
    )


def _used(site: str, ablation: pd.DataFrame) -> str:
    own = ablation[
        (ablation["sites"] == site)
        & (ablation["mode"] == "mean")
        & (ablation["texts"] == "positive")
        & (ablation["neurons"] == "found")
    ]
    near = own[own["positions"] == "after firing"]
    row = (near if len(near) else own).to_dict("records")
    if not row:
        return "There were too few contexts to switch it off on."
    one = row[0]
    where = "right after it fires" if len(near) else "on such contexts"
    p = one["p_value"]
    against = "" if pd.isna(p) else f", p {p:.2f} against {one['n_random']} neurons like it"
    return (
        f"Held at its mean, the loss {where} changes by {one['loss_increase']:+.3f} nats "
        f"({one['low']:+.3f} to {one['high']:+.3f}{against})."
    )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) if words else "nothing"
