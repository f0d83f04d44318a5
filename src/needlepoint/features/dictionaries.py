"""Entries of dictionaries: WordNet's word by word, and those of a file of the DICT protocol."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

PARTS = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
"""Endings of WordNet's files, and the part of speech of each."""
MIN_SENSES = 6
"""Senses that a word has at least: fewer do not fill a window."""

_GLOSS = re.compile(r"^(\d{8}) .*? \| (.*?)\s*$", re.MULTILINE)
_LEMMA = re.compile(r"^([a-z]+) [nvar] (\d+) .*?((?: \d{8})+)\s*$", re.MULTILINE)
_SUBJECT = re.compile(r"^\s*<[^<>]*>\s*")
_DATE = re.compile(r"\(\d{4}-\d{2}-\d{2}\)")


def wordnet_entries(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    r"""Each word of six senses or more, and its entry: one sense on each line.

    Args:
        files: The database, by the names of its files: `data.noun`, `index.noun` and so on.

    Example:
        >>> data = "".join(f"0000000{i} 03 n 01 bank 0 000 | sense {i}; \"as here\"  \n"
        ...                for i in range(1, 7))
        >>> index = "bank n 6 0 6 0" + "".join(f" 0000000{i}" for i in range(1, 7)) + "  \n"
        >>> [(word, entry)] = wordnet_entries({"data.noun": data, "index.noun": index})
        >>> word, entry.split("\n")[1]
        ('bank', 'bank (noun) 2. sense 2; "as here"')
    """
    entries: dict[str, list[str]] = defaultdict(list)
    for ending, part in PARTS.items():
        glosses = dict(_GLOSS.findall(files.get(f"data.{ending}", "")))
        for lemma, _, offsets in _LEMMA.findall(files.get(f"index.{ending}", "")):
            for number, offset in enumerate(offsets.split(), 1):
                if offset in glosses:
                    entries[lemma].append(f"{lemma} ({part}) {number}. {glosses[offset]}")
    for lemma, senses in entries.items():
        if len(senses) >= MIN_SENSES:
            yield lemma, "\n".join(senses)


def dict_entries(text: str) -> Iterator[tuple[str, str]]:
    r"""Headword and body of each entry of a dictionary whose bodies are indented.

    Marks of cross-references, subjects in front and dates of revision are left out.

    Example:
        >>> list(dict_entries("ape\n  <biology> A {primate}.\n  (1999-01-02)\nbee\n  An insect.\n"))
        [('ape', 'A primate.'), ('bee', 'An insect.')]
    """
    for entry in re.split(r"\n(?=\S)", text):
        head, _, body = entry.partition("\n")
        body = _SUBJECT.sub("", _DATE.sub("", body)).replace("{", "").replace("}", "")
        lines = "\n".join(line.strip() for line in body.split("\n")).strip()
        if lines and not head.startswith("00"):
            yield head.strip(), lines
