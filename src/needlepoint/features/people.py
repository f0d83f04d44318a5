"""What does the model know of a person? Sex, life, occupation, party and sport, from Wikidata."""

from __future__ import annotations

import re

import pandas as pd

from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.facts import Answers, Name, enough_texts, fact_texts, features_of
from needlepoint.features.sae_probes_wheel import ADDRESS, PACKAGE, set_records
from needlepoint.features.spans import span_collection, with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec

NAME = "people"
RECORDS_VERSION = 1
"""Raise it whenever other sets would be kept."""
N_TOKENS = 128
SHARE = 0.5
"""Share of a feature's rows that have it."""
MIN_DOCUMENTS = 20
QUESTION = "Which neurons know facts about a person whose name was just read?"
ANSWERS: Answers = {
    "56_wikidatasex_or_gender": {"sex_female": "female", "sex_male": "male"},
    "57_wikidatais_alive": {"is_alive": "True", "is_dead": "False"},
    "58_wikidatapolitical_party": {
        "party_democratic": "Democratic Party",
        "party_republican": "Republican Party",
    },
    "59_wikidata_occupation_isjournalist": {"occupation_journalist": "1"},
    "60_wikidata_occupation_isathlete": {"occupation_athlete": "1"},
    "61_wikidata_occupation_isactor": {"occupation_actor": "1"},
    "62_wikidata_occupation_ispolitician": {"occupation_politician": "1"},
    "63_wikidata_occupation_issinger": {"occupation_singer": "1"},
    "64_wikidata_occupation_isresearcher": {"occupation_researcher": "1"},
    "108_athlete_sport": {
        "sport_baseball": "baseball",
        "sport_basketball": "basketball",
        "sport_football": "football",
    },
    "5_hist_fig_ismale": {"figure_male": "1"},
    "6_hist_fig_isamerican": {"figure_american": "1"},
    "7_hist_fig_ispolitician": {"figure_politician": "1"},
}
FIGURES = tuple(question for question in ANSWERS if "hist_fig" in question)
"""Sets whose prompts are names with what tells them apart behind a comma or in brackets."""

OPENING = "\"'\u201c\u2018([*_"
"""Signs in front of a word that are no part of it."""
_SUFFIX = re.compile(r"(?:[JS]r|[IVX]+)\.?")
_APART = re.compile(r"\s*[,(\uff08].*$", re.DOTALL)


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """Surnames of people, each row the largest activation over the tokens of one.

    Text ends with the name, so that what is said after it is never read. All people of one
    surname are one document: no person is on both sides of a split, and no surname either.

    Raises:
        DataError: If nothing fits in so few tokens.
        SourceError: If the wheel or the repository cannot be had.
    """
    texts = fact_texts(records(source), ANSWERS, surname)
    collection = span_collection(
        enough_texts(texts, n=n_per_feature, positive_share=SHARE, seed=seed),
        encoder,
        card=_card(source),
        question=QUESTION,
        features=FEATURES,
        n_per_feature=n_per_feature,
        n_tokens=n_tokens,
        seed=seed,
        unit="span",
        reduce="max",
        keep="last",
        positive_share=SHARE,
    )
    reasons = "the data have no more people of this kind with so many tokens."
    return with_shortfalls(collection, reasons, n=n_per_feature, documents=MIN_DOCUMENTS)


def records(source: str) -> pd.DataFrame:
    """Prompts that end with a name, and what is asked of it: `set`, `prompt`, `target`.

    Of historical figures what stands behind a comma or in brackets is cut off, as "Duchess of
    Anjou" gives the answer away.

    Raises:
        SourceError: If the wheel or the repository cannot be had.
    """
    found = set_records(NAME, list(ANSWERS), version=RECORDS_VERSION, source=source)
    figures = found["set"].isin(FIGURES)
    found.loc[figures, "prompt"] = [_APART.sub("", name) for name in found["prompt"][figures]]
    return found[found["prompt"].str.strip() != ""]


def surname(prompt: str) -> Name:
    """The last word of the prompt, with a Jr. or III that follows it.

    Example:
        >>> surname("and directed by Robert Downey Jr.")
        Name(start=23, end=33, document='downey')
    """
    words = prompt.split()[-2:]
    if not words:
        return Name(0, len(prompt), prompt)
    shown = words[0] if len(words) == 2 and _SUFFIX.fullmatch(words[1]) else words[-1]
    start = prompt.rindex(shown)
    shown = shown.rstrip(",")
    start += len(shown) - len(shown.lstrip(OPENING))
    return Name(start, len(prompt.rstrip()), re.sub(r"[^\w$'\u2019-]", "", shown).casefold())


def _card(source: str) -> Card:
    where = ADDRESS.format(tag="*") if source == HUB else PACKAGE.requirement
    return Card(
        name=NAME,
        title="Facts about people",
        description="Names of people in running text (sex, alive, party, occupation) and by "
        "themselves (sport of athletes; sex, nationality and trade of historical figures). Each "
        "feature is asked on people of its own question, half of them with the feature.",
        source=f"Data sets of the sae-probes benchmark ({where}). Text and Wikidata labels are "
        "from the sparse-probing paper's own data, which were shared by a link that need not last; "
        "historical figures are from the data of the world-models repository.",
        licence="The benchmark is MIT; Wikidata is CC0; the passages around the names are from the "
        "test part of the Pile and belong to their authors",
        how_labelled="By Wikidata (historical figures by Wikidata and Wikipedia); is_dead means "
        "died in 1980 or before. People were found in text by their whole name. No model was "
        "asked.",
        confounds=(
            "Given names carry sex, and names carry origin; only the surname is read, but the "
            "model has read the given name before it.",
            "The passage before the name is about something: an actor stands in a cast list, and "
            "the dead in history.",
            "The people are the most famous of their kind, and fame differs between the kinds.",
            "sex_male is the opposite of sex_female, and so are alive and dead and the parties.",
            "figure_american is loose: it holds people who only lived or worked there.",
            "Some names are cut short in the source (Daniel Lo for Daniel Loeb), and some are of "
            "another person of that name (a playwright Bill Russell counts as an athlete).",
            "Athletes and historical figures have no text before the name, and the figures' last "
            "word is often a place (Joan of Arc) rather than a surname.",
        ),
        aggregation="largest activation over the tokens of the surname, the last word of the text",
        size="one wheel of 45 MB" if source != HUB else "13 files of 11 MB in all",
    )


FEATURES = features_of(ANSWERS)
SPEC = CollectionSpec(_card(PACKAGES), FEATURES, load, n_tokens=N_TOKENS, sources=(PACKAGES, HUB))
