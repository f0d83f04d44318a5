"""How far the silver tags agree with a treebank's: precision, recall and F1 of each feature.

    python benchmarks/silver_agreement.py TREEBANK --out benchmarks/records/silver_agreement.json

Reads the development and test parts of UD English EWT, whose sentences and words are given to the
tagger as they are: where sentences and words end is not compared. A word counts for a feature if
the silver tags ask the feature on it, whatever the treebank asks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import conllu
import numpy as np

from needlepoint._core.files import write_text
from needlepoint._core.provenance import machine, now, versions
from needlepoint.features import dependencies, morphology, part_of_speech
from needlepoint.features.clear_to_ud import Parsed, features, relations
from needlepoint.features.tagged_text import MODEL, load_tagger
from needlepoint.features.treebank import UNKNOWN, TaggedText

PARTS = ("dev", "test")
KINDS = (part_of_speech.KIND, dependencies.KIND, morphology.KIND)
ENDS = ("eos_True", "first_eos_True")
"""Features of where sentences end, which is given here."""
GOOD, FAIR = 0.9, 0.7


def sentences(folder: Path) -> Iterator[list[conllu.Token]]:
    """The words of each sentence, rows of contractions and of words not in the text left out."""
    for part in PARTS:
        with (folder / f"en_ewt-ud-{part}.conllu").open(encoding="utf-8") as handle:
            for sentence in conllu.parse_incr(handle):
                yield [word for word in sentence if isinstance(word["id"], int)]


def gold_tags(words: list[conllu.Token]) -> list[tuple[str, str, str]]:
    """Part of speech, relation and morphology of each word as the treebank has them."""
    return [
        (
            word["upos"] or UNKNOWN,
            word["deprel"] or UNKNOWN,
            "|".join(f"{key}={value}" for key, value in (word["feats"] or {}).items()) or UNKNOWN,
        )
        for word in words
    ]


def silver_tags(doc: Any) -> list[tuple[str, str, str]]:
    """The same as the tagger and the conversion have them."""
    words = [
        Parsed(word.text, word.tag_, word.pos_, word.dep_, word.head.i, word.morph.to_dict())
        for word in doc
    ]
    upos = [word.upos for word in words]
    return list(zip(upos, relations(words), features(words), strict=True))


def as_text(forms: list[str], tags: list[tuple[str, str, str]]) -> TaggedText:
    """Words and tags as the collections read them: one sentence."""
    ends = np.cumsum([len(form) + 1 for form in forms]) - 1
    starts = ends - [len(form) for form in forms]
    upos, deprel, feats = zip(*tags, strict=True)
    return TaggedText(
        document="sentence",
        text=" ".join(forms),
        spans=np.column_stack([starts, ends]),
        sentences=np.zeros(len(forms), dtype=np.int64),
        upos=upos,
        deprel=deprel,
        feats=feats,
    )


def both_tags(folder: Path) -> tuple[list[TaggedText], list[TaggedText]]:
    """All sentences with silver tags, and with the treebank's."""
    from spacy.tokens import Doc

    tagger = load_tagger()
    read = list(sentences(folder))
    forms = [[word["form"] for word in words] for words in read]
    docs = [
        Doc(tagger.vocab, own, [(word["misc"] or {}).get("SpaceAfter") != "No" for word in words])
        for words, own in zip(read, forms, strict=True)
    ]
    silver = map(silver_tags, tagger.pipe(docs))
    return (
        [as_text(*pair) for pair in zip(forms, silver, strict=True)],
        [as_text(*pair) for pair in zip(forms, map(gold_tags, read), strict=True)],
    )


def agreement(silver: list[TaggedText], gold: list[TaggedText]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each feature on the words that silver tags ask it on."""
    found = []
    for kind in KINDS:
        ours, theirs = (np.concatenate([kind.labels(one) for one in s]) for s in (silver, gold))
        for name, own, true in zip(kind.features, ours.T, theirs.T, strict=True):
            if name in ENDS:
                continue
            asked = own >= 0
            both = int(((own == 1) & (true == 1)).sum())
            n_silver, n_gold = int((own == 1).sum()), int((asked & (true == 1)).sum())
            found.append(
                {
                    "collection": kind.name,
                    "feature": name,
                    "kept": name not in kind.not_silver,
                    "silver": n_silver,
                    "gold_of_asked": n_gold,
                    "gold": int((true == 1).sum()),
                    "precision": both / n_silver if n_silver else None,
                    "recall": both / n_gold if n_gold else None,
                    "f1": 2 * both / (n_silver + n_gold) if n_silver + n_gold else None,
                }
            )
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many of the features that are kept agree well, fairly, and less."""
    f1 = [row["f1"] or 0.0 for row in rows if row["kept"]]
    good, fair = sum(one >= GOOD for one in f1), sum(FAIR <= one < GOOD for one in f1)
    return {"kept": len(f1), "good": good, "fair": fair, "less": len(f1) - good - fair}


def main() -> None:
    """Print the agreement of every feature, and keep it if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("treebank", type=Path, help="folder of en_ewt-ud-dev.conllu and -test")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    silver, gold = both_tags(options.treebank)
    rows = agreement(silver, gold)
    for row in rows:
        shown = "  -  " if row["f1"] is None else f"{row['f1']:.3f}"
        kept = "" if row["kept"] else "  left out"
        print(f"{row['collection']:15} {row['feature']:14} F1 {shown}  n {row['gold']:5}{kept}")
    print(summary(rows))
    if options.out:
        record = {
            "benchmark": "silver_agreement",
            "date": now(),
            "machine": machine(),
            "versions": versions(),
            "tagger": MODEL.requirement,
            "parts": PARTS,
            "sentences": len(gold),
            **summary(rows),
            "features": rows,
        }
        write_text(options.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
