"""What does the model know of a place? Country, state, time zone and borough, from its name."""

from __future__ import annotations

import re

import pandas as pd

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.facts import Answers, Name, enough_texts, fact_texts, features_of
from needlepoint.features.hub import HubData, hub_rows
from needlepoint.features.rows import POSITIVE_SHARE
from needlepoint.features.sae_probes_wheel import PACKAGE, set_records
from needlepoint.features.spans import span_collection, with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec

NAME = "places"
RECORDS_VERSION = 1
"""Raise it whenever other sets would be kept."""
N_TOKENS = 32
MIN_DOCUMENTS = 20
QUESTION = "Which neurons know where a place is whose name was just read?"
SETS = {
    "17_world_country": "country",
    "13_us_state": "state",
    "14_us_timezone": "timezone",
    "10_nyc_borough": "borough",
}
"""The question that each set of the wheel asks."""
ANSWERS: Answers = {
    "country": {
        "country_australia": "Australia",
        "country_india": "India",
        "country_italy": "Italy",
        "country_united_kingdom": "United_Kingdom",
        "country_united_states": "United_States",
    },
    "state": {
        "state_california": "CA",
        "state_florida": "FL",
        "state_georgia": "GA",
        "state_illinois": "IL",
        "state_michigan": "MI",
        "state_new_york": "NY",
        "state_north_carolina": "NC",
        "state_ohio": "OH",
        "state_pennsylvania": "PA",
        "state_texas": "TX",
    },
    "timezone": {
        "timezone_chicago": "Chicago",
        "timezone_los_angeles": "Los_Angeles",
        "timezone_new_york": "New_York",
    },
    "borough": {
        "borough_bronx": "Bronx",
        "borough_brooklyn": "Brooklyn",
        "borough_manhattan": "Manhattan",
        "borough_queens": "Queens",
        "borough_staten_island": "Staten Island",
    },
}
PEOPLES = ("American", "Australian", "British", "England", "English", "Indian", "Italian")
"""Words that tell a country beside its name."""
ADDRESS = (
    "https://raw.githubusercontent.com/wesg52/world-models/"
    "17a352522a95b61fa125dca3ba24c2e4a9ca15a9/data/entity_datasets/{table}.csv"
)
"""The original tables at a fixed revision."""
COLUMNS = {
    "country": ("world_place", "country"),
    "state": ("us_place", "state_id"),
    "timezone": ("us_place", "timezone"),
    "borough": ("nyc_place", "borough_name"),
}
"""The original table of each question, and the column with its answer."""

_APART = re.compile(r"\s*[,(].*$", re.DOTALL)


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Names of places by themselves, each row the largest activation over the tokens of one.

    All places of one name are one document. A name is left out of a question if places of that
    name answer it differently, or if the name contains one of the answers.

    Raises:
        DataError: If no name fits in so few tokens.
        SourceError: If the wheel or a table cannot be had.
    """
    texts = fact_texts(records(source), ANSWERS, whole_name)
    collection = span_collection(
        enough_texts(texts, n=n_per_feature, positive_share=POSITIVE_SHARE, seed=seed),
        encoder,
        card=_card(source),
        question=QUESTION,
        features=FEATURES,
        n_per_feature=n_per_feature,
        n_tokens=n_tokens,
        seed=seed,
        unit="span",
        reduce="max",
    )
    reasons = f"the data have no more names there that fit in {n_tokens} tokens."
    return with_shortfalls(collection, reasons, n=n_per_feature, documents=MIN_DOCUMENTS)


def records(source: str) -> pd.DataFrame:
    """Names with what is asked of them: `set` (the question), `prompt` and `target`, all text.

    What stands behind a comma or in brackets is cut off (Matlock, Victoria): it is the answer.

    Raises:
        SourceError: If the wheel or a table cannot be had.
    """
    if source == HUB:
        found = _tables()
    else:
        found = set_records(NAME, list(SETS), version=RECORDS_VERSION, source=source)
        found["set"] = found["set"].map(SETS)
    found["prompt"] = [_APART.sub("", name).strip() for name in found["prompt"]]
    told = {
        question: re.compile(rf"\b(?:{'|'.join(_telling(question))})\b", re.IGNORECASE)
        for question in ANSWERS
    }
    wanted = [
        name != "" and target in ANSWERS[question].values() and told[question].search(name) is None
        for question, name, target in zip(
            found["set"], found["prompt"], found["target"], strict=True
        )
    ]
    return found[wanted]


def whole_name(name: str) -> Name:
    """The whole prompt, which is the name of a place."""
    return Name(0, len(name), name.casefold())


def _telling(question: str) -> list[str]:
    """Words in a name that would give an answer away."""
    words = [
        feature.removeprefix(f"{question}_").replace("_", " ") for feature in ANSWERS[question]
    ]
    return words + (list(PEOPLES) if question == "country" else [])


def _tables() -> pd.DataFrame:
    """The original tables, every answer there is."""
    found = []
    for question, (table, column) in COLUMNS.items():
        data = HubData("csv", "MIT", options={"data_files": ADDRESS.format(table=table)})
        rows = [(row["name"], row[column]) for row in hub_rows(data)]
        found.append(pd.DataFrame(rows, columns=["prompt", "target"]).assign(set=question))
    joined = pd.concat(found, ignore_index=True).dropna().astype(str)
    joined["target"] = joined["target"].str.removeprefix("America/")
    return joined


def _card(source: str) -> Card:
    where = ADDRESS.format(table="*") if source == HUB else f"taken from {PACKAGE.requirement}"
    return Card(
        name=NAME,
        title="Facts about places",
        description="Names of towns, stations, lakes, schools and the like, by themselves. Each "
        "answer is a feature, against the other answers to the same question.",
        source=f"The tables of places of the world-models repository ({where})",
        licence="MIT; the tables are drawn from Wikipedia (CC BY-SA), a list of US cities and the "
        "open data of New York City",
        how_labelled="By the tables: country from Wikipedia, state and time zone from a list of US "
        "places, borough from the city's register. Names that contain an answer, and names with "
        "two answers, are left out. No model was asked.",
        confounds=(
            "Spelling tells countries apart: an Italian name looks Italian.",
            "Kinds of places differ: railway stations are British, census places American.",
            "The time zone of a US place follows from its state, and partly from its longitude.",
            "Names in New York are in capitals and are of schools, parks and housing blocks.",
            "There is no text before the name: the model reads it after its first token only.",
        ),
        aggregation="largest activation over the tokens of the name",
        size="three tables of 11 MB in all" if source == HUB else "one wheel of 45 MB",
    )


FEATURES = features_of(ANSWERS)
SPEC = CollectionSpec(_card(PACKAGES), FEATURES, load, n_tokens=N_TOKENS, sources=(PACKAGES, HUB))
