"""Greater-than: a thing that began in one year ends in a later one.

After "The war lasted from the year 1732 to the year 17" the next two digits are above 32. The
prompts are those of Hanna et al., "How does GPT-2 compute greater-than?", 2023, section 2; the
nouns are our own. The metric is the sum of the probabilities of the right endings minus that of the
wrong ones, over all endings that are one token.

Where a prompt has to stop depends on how the tokenizer cuts years, which is found out by cutting
them (`YearForm`). The prompt ends before the last token of the second year:

- in two pieces, 17|32: at "the year 17"; right are 33 to 99, wrong 00 to 32;
- digit by digit, or 173|2: at "the year 173"; right are 3 to 9, wrong 0 to 2;
- in one piece, 1732: at "the year"; right are 1733 to 1799, wrong 1700 to 1732.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.text import Encoder
from needlepoint.tasks.draw import Marked, generator, prompts_of, take_turns
from needlepoint.tasks.known_circuits import GREATER_THAN
from needlepoint.tasks.pairs import Pair, Prompts
from needlepoint.tasks.task import Task
from needlepoint.tasks.templates import fill
from needlepoint.tasks.word_lists import EVENTS

NAME = "greater_than"
TEMPLATE = "The {noun} lasted from the year {year} to the year"
YEARS = range(1100, 1800)
"""The centuries of Hanna et al."""
WORDS = {
    "year_01": "in the corrupt prompt the first year is the year 01 of its century, so that hardly "
    "an ending is too early",
    "random_year": "in the corrupt prompt the first year is another one of the same beginning, so "
    "that the line between right and wrong lies elsewhere",
}


@dataclass(frozen=True)
class YearForm:
    """How a tokenizer cuts years after a space, and the years that it cuts so."""

    cut: int
    """Characters of the space and the year that stand before the year's last token."""
    n_tokens: int
    """Tokens of the space and the year together."""
    years: tuple[int, ...]

    def ending(self, year: int) -> str:
        """The text of the last token of a year."""
        return f" {year}"[self.cut :]

    def stem(self, year: int) -> str:
        """What stands before that token."""
        return f" {year}"[: self.cut]

    def siblings(self, year: int) -> tuple[int, ...]:
        """Years that could have ended after the same stem: of its century or its decade."""
        unit = 10 if len(self.ending(year)) == 1 else 100
        return tuple(other for other in self.years if other // unit == year // unit)

    def is_first_year(self, year: int) -> bool:
        """Whether a prompt can start with it.

        There must be endings on both sides of it, and the year 01 of its century must be another:
        02 to 98 where two or more digits are asked for; where one is, 1 to 8 and not in the first
        decade, so that any ending is later than the year 01.
        """
        if len(self.ending(year)) == 1:
            return 1 <= year % 10 <= 8 and year % 100 >= 10
        return 2 <= year % 100 <= 98


def year_form(encoder: Encoder) -> YearForm:
    """The form in which the tokenizer cuts most years, and the years that it cuts so.

    Raises:
        DataError: If no year ends in a token that stands alone.
    """
    cuts = {year: _cut(encoder, f" {year}") for year in YEARS}
    forms = Counter(form for form in cuts.values() if form is not None)
    if not forms:
        raise DataError(
            f"the tokenizer ends no year from {YEARS[0]} to {YEARS[-1]} in a token of its own, so "
            f"task {NAME!r} cannot be measured; give the task as a file of prompt pairs instead."
        )
    (cut, n_tokens), _ = forms.most_common(1)[0]
    alike = tuple(year for year, form in cuts.items() if form == (cut, n_tokens))
    return YearForm(cut, n_tokens, alike)


def _cut(encoder: Encoder, text: str) -> tuple[int, int] | None:
    """Where the last token of a year begins, and how many tokens there are."""
    ids = encoder.encode(text)
    for cut in range(len(text) - 1, -1, -1):
        head = encoder.encode(text[:cut]) if cut else []
        if encoder.encode(text[cut:]) == ids[-1:] and head == ids[:-1]:
            return cut, len(ids)
    return None


Corruption = Callable[[int, Sequence[int], np.random.Generator], int]
CORRUPTIONS: Registry[Corruption] = Registry(f"corruption of {NAME}")


@CORRUPTIONS.add("year_01")
def first_of_century(year: int, siblings: Sequence[int], draw: np.random.Generator) -> int:
    """The year 01 of the same century."""
    return year // 100 * 100 + 1


@CORRUPTIONS.add("random_year")
def another(year: int, siblings: Sequence[int], draw: np.random.Generator) -> int:
    """Another year with the same beginning."""
    others = [other for other in siblings if other != year]
    return others[draw.integers(len(others))]


def make(encoder: Encoder, *, n_pairs: int, seed: int = 0, corruption: str = "year_01") -> Prompts:
    """Prompt pairs of greater-than, cut by this tokenizer.

    The last digits of the first year take turns, from 02 to 98 or from 1 to 8, in a random order.
    Under every corruption the clean prompts are the same.

    Args:
        encoder: The tokenizer; it decides how much of the second year is given.
        n_pairs: How many pairs, at least 2.
        seed: The seed of the whole run.
        corruption: `year_01` starts in the year 01 of the century, `random_year` in another year.

    Returns:
        Prompts with several right and wrong answers, and with the positions `year`, the last
        token of the first year, and `end`.

    Raises:
        DataError: If the tokenizer ends no year in a token of its own, or so many distinct pairs
            do not exist.
        UnknownNameError: If there is no such corruption.
    """
    corrupted = CORRUPTIONS[corruption]
    form = year_form(encoder)
    draw = generator(NAME, seed, use=corruption)
    marked = []
    for noun, year in take_turns(_groups(form, seed), n_pairs, task=NAME, seed=seed):
        other = corrupted(year, form.siblings(year), draw)
        marked.append(_marked(form, noun, year, other))
    return prompts_of(
        marked,
        encoder,
        task=NAME,
        description=f"{TASK.description} Here, {WORDS[corruption]}.",
        question="Which attention heads let the model end a span of years after its beginning?",
        corruption=corruption,
        metric=TASK.metric,
    )


def _groups(form: YearForm, seed: int) -> list[list[tuple[str, int]]]:
    """Nouns and first years, by the last digits of the year, in a random order of these."""
    first_years = [
        year
        for year in form.years
        if form.is_first_year(year) and year // 100 * 100 + 1 in form.years
    ]
    groups: dict[str, list[tuple[str, int]]] = {}
    for year, noun in product(first_years, EVENTS):
        groups.setdefault(form.ending(year)[-2:], []).append((noun, year))
    order = generator(NAME, seed, use="order").permutation(len(groups))
    turns = list(groups.values())
    return [turns[i] for i in order]


def _marked(form: YearForm, noun: str, year: int, other: int) -> Marked:
    clean, spans = fill(TEMPLATE, {"noun": noun, "year": str(year)})
    corrupt, _ = fill(TEMPLATE, {"noun": noun, "year": str(other)})
    stem, end = form.stem(year), spans["year"][1]
    endings = [(sibling, form.ending(sibling)) for sibling in form.siblings(year)]
    right = tuple(ending for sibling, ending in endings if sibling > year)
    wrong = tuple(ending for sibling, ending in endings if sibling <= year)
    last = len(form.ending(year).strip())
    return Marked(Pair(clean + stem, corrupt + stem, right, wrong), {"year": (end - last, end)})


TASK = Task(
    name=NAME,
    title="Greater-than",
    description="Something lasted from one year to another, of which the last digits come next: "
    "right are those above the digits of the first year.",
    source="Hanna et al. 2023 (arXiv 2305.00586), section 2",
    make=make,
    corruptions=WORDS,
    metric="probability difference",
    circuits=GREATER_THAN,
)
