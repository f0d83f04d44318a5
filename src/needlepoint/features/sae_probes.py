"""The 113 two-class data sets of the sae-probes benchmark, read at the last token of a prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.kept import kept_records
from needlepoint.features.people import ANSWERS as PEOPLE
from needlepoint.features.people import surname
from needlepoint.features.sae_probes_tags import TAGS
from needlepoint.features.sae_probes_wheel import ADDRESS, PACKAGE, hub_sets, read_sets
from needlepoint.features.spans import with_shortfalls
from needlepoint.features.spec import HUB, PACKAGES, CollectionSpec

NAME = "sae_probes"
RECORDS_VERSION = 1
"""Raise it whenever other rows would be kept."""
N_TOKENS = 128
"""Tokens of a prompt that are read; the benchmark's own protocol reads 1024."""
MIN_DOCUMENTS = 20
MOST_CHARACTERS = 8_000
"""No more of a prompt is kept: its end."""
CHARACTERS_PER_TOKEN = 6
"""So much of a prompt is cut into tokens first; where that was too little, all of it is."""
QUESTION = "Which neurons tell the classes of each data set apart at the end of a prompt?"
HAVE_IT = ("A", "bigram", "clickbait", "correct", "Democratic Party", "female", "yes")
"""Answers in words that count as having the feature; elsewhere 1 and True do."""


def load(
    encoder: Encoder, *, n_per_feature: int, n_tokens: int, seed: int, source: str
) -> Collection:
    """The last tokens of prompts, each data set a feature that is asked on its own prompts.

    This is not the benchmark's own sample: repeated prompts are left out, and so are prompts
    with two answers. `sae_probes_protocol` draws the benchmark's own rows. A prompt is a
    document; in the sets about people all prompts about one surname are.

    Raises:
        SourceError: If the wheel or a file of the repository cannot be had.
    """
    fingerprint = getattr(encoder, "fingerprint", lambda: None)()

    def make() -> pd.DataFrame:
        return _prompts(records(source), encoder, n_per_feature, n_tokens, seed)

    if source == HUB or fingerprint is None:
        prompts = make()
    else:
        name = f"{NAME}-{n_per_feature}-{n_tokens}-{seed}-{fingerprint[:16]}"
        prompts = kept_records(name, version=RECORDS_VERSION, packages=[PACKAGE], make=make)
    labels, asked = _labels(prompts)
    some = np.flatnonzero((labels & asked).any(0) & (~labels & asked).any(0))
    ends = prompts["ids"].map(len).to_numpy()
    collection = Collection(
        card=_card(source, n_tokens),
        question=QUESTION,
        ids=tuple(tuple(ids.tolist()) for ids in prompts["ids"]),
        documents=tuple(prompts["document"]),
        rows=np.column_stack([np.arange(len(ends)), ends - 1, ends]),
        reduce="last",
        features=tuple(FEATURES[column] for column in some.tolist()),
        labels=labels[:, some],
        texts=tuple(prompts["prompt"]),
        members=asked[:, some],
    )
    reasons = "the set has no more different prompts of this class."
    return with_shortfalls(collection, reasons, n=n_per_feature, documents=MIN_DOCUMENTS)


def records(source: str) -> pd.DataFrame:
    """Different prompts of all sets: `set`, `label`, `text` (its number), `document`, `prompt`.

    Of a long prompt only the end is kept.

    Raises:
        SourceError: If the wheel or a file of the repository cannot be had.
    """
    if source == HUB:
        return _tidy(hub_sets(TAGS))
    return kept_records(
        NAME, version=RECORDS_VERSION, packages=[PACKAGE], make=lambda: _tidy(read_sets(TAGS))
    )


def last_tokens(encoder: Encoder, text: str, n: int) -> tuple[tuple[int, ...], str]:
    """The last `n` token ids of a text, and the text of these."""
    near = text[-n * CHARACTERS_PER_TOKEN :]
    ids = encoder.encode(near)
    if len(ids) <= n and len(near) < len(text):
        near = text
        ids = encoder.encode(near)
    if len(ids) <= n:
        return tuple(ids), near
    ids, offsets = encoder.encode_with_offsets(near)
    return tuple(ids[-n:]), near[offsets[-n][0] :]


def _tidy(sets: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All sets under each other, each prompt once, those with two answers left out."""
    parts = []
    for tag, table in sets.items():
        table = table.drop_duplicates()
        table = table[~table["prompt"].duplicated(keep=False)]
        target = table["target"].astype(str)
        positive = target.isin(HAVE_IT) if target.isin(HAVE_IT).any() else target == target.max()
        prompt = table["prompt"].astype(str)
        parts.append(pd.DataFrame({"set": tag, "label": positive, "prompt": prompt}))
    found = pd.concat(parts, ignore_index=True)
    found["text"] = pd.factorize(found["prompt"])[0]
    people = found["text"].isin(found["text"][found["set"].isin(list(PEOPLE))])
    found["document"] = [
        surname(prompt).document if person else hashlib.sha1(prompt.encode()).hexdigest()[:16]
        for prompt, person in zip(found["prompt"], people, strict=True)
    ]
    found["prompt"] = found["prompt"].str.slice(-MOST_CHARACTERS)
    return found[["set", "label", "text", "document", "prompt"]]


def _chosen(table: pd.DataFrame, n: int, seed: int) -> Int[np.ndarray, " row"]:
    """Numbers of the rows that are used: `n` of each class of each set, or all it has.

    One random priority over all texts, so that sets share them.
    """
    draw = np.random.default_rng(seed_for(seed, use="texts", features=NAME))
    text = table["text"].to_numpy()
    order = np.argsort(draw.permutation(text.max() + 1)[text], kind="stable")
    ranked = pd.DataFrame({"set": table["set"], "label": table["label"]}).iloc[order]
    place = ranked.groupby(["set", "label"], sort=False).cumcount().to_numpy()
    return np.sort(order[place < n])


def _prompts(
    table: pd.DataFrame, encoder: Encoder, n_per_feature: int, n_tokens: int, seed: int
) -> pd.DataFrame:
    """The prompts in use, each once: its end, token ids, document, and the sets by class.

    `having` and `lacking` are the numbers of the sets in which it has the feature or lacks it.
    """
    used = table.iloc[_chosen(table, n_per_feature, seed)]
    number = used["set"].map({tag: i for i, tag in enumerate(TAGS)})
    found = used.drop_duplicates("text").set_index("text").sort_index()
    for name, of_class in (("having", used["label"]), ("lacking", ~used["label"])):
        sets = number[of_class].groupby(used["text"][of_class]).agg(list)
        found[name] = [sets.get(text, []) for text in found.index]
    cut = [last_tokens(encoder, prompt, n_tokens) for prompt in found["prompt"]]
    found["ids"] = pd.Series([np.array(ids) for ids, _ in cut], index=found.index)
    found["prompt"] = [shown for _, shown in cut]
    return found[["prompt", "ids", "document", "having", "lacking"]].reset_index(drop=True)


def _labels(
    prompts: pd.DataFrame,
) -> tuple[Bool[np.ndarray, "example feature"], Bool[np.ndarray, "example feature"]]:
    """Which prompts have which feature, and which are asked for it."""
    labels, asked = np.zeros((2, len(prompts), len(TAGS)), dtype=bool)
    for row, (having, lacking) in enumerate(
        zip(prompts["having"], prompts["lacking"], strict=True)
    ):
        labels[row, np.asarray(having, dtype=np.int64)] = True
        asked[row, np.asarray(lacking, dtype=np.int64)] = True
    return labels, asked | labels


def _card(source: str, n_tokens: int) -> Card:
    where = ADDRESS.format(tag="*") if source == HUB else PACKAGE.requirement
    return Card(
        name=NAME,
        title="The 113 data sets of sae-probes",
        description="Two-class data sets of many kinds (facts, grammar, entailment, ethics, news, "
        "sentiment, phrases, code ...), each a feature on prompts of its own, half with it.",
        source=f"The sae-probes benchmark ({where}), which gathered them from GLUE, ETHICS, public "
        "data sites, the sparse-probing paper and the world-models repository",
        licence="The benchmark is MIT; the data sets carry terms of their own",
        how_labelled="As in the data set that each comes from; by people for the most part. A "
        "feature is present where the benchmark's answer is 1 or True, or one of "
        f"{', '.join(HAVE_IT)}.",
        confounds=(
            "What else differs between the classes was not looked into for each set.",
            "The row is the last token of the prompt, often a full stop, which must hold all that "
            "the model made of the text.",
            f"Of a long prompt the last {n_tokens} tokens are read; the benchmark reads 1024.",
            "The benchmark balanced its classes by repeating prompts, which its own splits put on "
            "both sides; here each prompt is used once.",
            "In many sets of several classes the negatives are all other classes together.",
            "Twenty-one sets ask whether the prompt ends within a fixed phrase.",
        ),
        aggregation="the last token of the prompt",
        size="113 files of 150 MB in all" if source == HUB else "one wheel of 45 MB",
    )


def feature_name(tag: str) -> str:
    """The name of the feature of a data set: its numbered name without spaces."""
    return tag.replace(" ", "_")


FEATURES: Sequence[str] = tuple(feature_name(tag) for tag in TAGS)
SPEC = CollectionSpec(
    _card(PACKAGES, N_TOKENS), tuple(FEATURES), load, n_tokens=N_TOKENS, sources=(PACKAGES, HUB)
)
