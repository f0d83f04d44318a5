"""What else neurons fire on: the tokens of other texts on which they pass their cuts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.reduce import Rows
from needlepoint.activations.stream import gather
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site

LISTED = 8
"""Token pairs listed for each neuron and for the sum."""
MAY_MISS = ("ap", "gap")
"""How the names of columns begin that are missing where they are not defined."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Every token of some texts, with the one before it, and the neurons of some layers there."""

    pairs: tuple[tuple[str, str], ...]
    """The token before, empty at the start of a text, and the token."""
    target: Bool[Tensor, " example"]
    """Whether the two make the compound."""
    document: Int[Tensor, " example"]
    """Number of the document that each token is of."""
    acts: dict[int, Float[Tensor, "example neuron"]]
    """Of each layer."""


@dataclass(frozen=True, eq=False)
class ReadTexts:
    """Texts, and the neurons of some layers on every token of them, one text after the other."""

    texts: tuple[tuple[int, ...], ...]
    acts: dict[int, Float[Tensor, "example neuron"]]

    @cached_property
    def place(self) -> dict[tuple[int, ...], slice]:
        """Which tokens are those of each text."""
        ends = accumulate(len(text) for text in self.texts)
        return {
            text: slice(end - len(text), end) for text, end in zip(self.texts, ends, strict=True)
        }


def read_texts(model: Model, texts: Sequence[Sequence[int]], layers: Sequence[int]) -> ReadTexts:
    """All neurons of some layers on every token of some texts, each different text once."""
    once = tuple(dict.fromkeys(tuple(text) for text in texts))
    sites = {layer: Site.of(layer, Part.NEURONS) for layer in dict.fromkeys(layers)}
    read = gather(model, once, list(sites.values()), Rows.each(once), label="reading other texts")
    return ReadTexts(once, {layer: read[site].float() for layer, site in sites.items()})


def read_tokens(
    model: Model,
    texts: Sequence[Sequence[int]],
    layers: Sequence[int],
    first: str,
    second: str,
    known: ReadTexts | None = None,
    documents: Sequence[str] | None = None,
) -> Tokens:
    """All neurons of some layers on every token of some texts.

    Args:
        model: The model to read.
        texts: Token ids of each text.
        layers: The layers.
        first: First word of the compound, in lower case.
        second: Its second word.
        known: Texts that were read before, all of these layers; they are not read again.
        documents: The document of each text; each is one of its own unless given.

    Raises:
        DataError: If there are no texts.
    """
    if not texts:
        raise DataError("there are no other texts to read; give at least one.")
    held = {} if known is None else known.place
    fresh = [text for text in texts if tuple(text) not in held]
    sources = [known] if known is not None else []
    sources += [read_texts(model, fresh, layers)] if fresh else []
    where = {text: (one, place) for one in sources for text, place in one.place.items()}
    acts = {
        layer: torch.cat(
            [where[tuple(text)][0].acts[layer][where[tuple(text)][1]] for text in texts]
        )
        for layer in dict.fromkeys(layers)
    }
    pairs: list[tuple[str, str]] = []
    for ids in texts:
        pieces = model.encoder.pieces(list(ids))
        pairs += zip(["", *pieces[:-1]], pieces, strict=True)
    target = [_word(one) == first and _word(two) == second for one, two in pairs]
    lengths = torch.tensor([len(ids) for ids in texts])
    numbers = {name: n for n, name in enumerate(dict.fromkeys(documents or range(len(texts))))}
    each = torch.tensor([numbers[name] for name in documents or range(len(texts))])
    document = torch.repeat_interleave(each, lengths)
    return Tokens(tuple(pairs), torch.tensor(target), document, acts)


def firing_row(
    tokens: Tokens, site: str, values: Float[Tensor, " example"], cut: float
) -> dict[str, object]:
    """On how many tokens something fires, how many of them end the compound, and which do not.

    `pairs` counts different pairs of tokens other than the compound on which it fires.
    """
    fires = values > cut
    wrong = fires & ~tokens.target
    pairs = {tokens.pairs[i] for i in wrong.nonzero()[:, 0].tolist()}
    n = int(fires.sum())
    return {
        "site": site,
        "tokens": len(fires),
        "fires": n,
        "fires_on_compound": int((fires & tokens.target).sum()),
        "compounds": int(tokens.target.sum()),
        "precision": int((fires & tokens.target).sum()) / n if n else None,
        "pairs": len(pairs),
    }


def firing_pairs(
    tokens: Tokens, site: str, values: Float[Tensor, " example"], cut: float
) -> list[dict[str, object]]:
    """The pairs of tokens other than the compound on which something fires most often.

    Of pairs that are as frequent, those with the higher mean value come first.
    """
    wrong = ((values > cut) & ~tokens.target).nonzero()[:, 0].tolist()
    count: Counter[tuple[str, str]] = Counter()
    total: defaultdict[tuple[str, str], float] = defaultdict(float)
    for place in wrong:
        count[tokens.pairs[place]] += 1
        total[tokens.pairs[place]] += float(values[place])
    order = sorted(count, key=lambda pair: (-count[pair], -total[pair] / count[pair], pair))
    return [
        {
            "site": site,
            "rank": rank,
            "before": pair[0],
            "token": pair[1],
            "fires": count[pair],
            "value": total[pair] / count[pair],
            "cut": cut,
        }
        for rank, pair in enumerate(order[:LISTED])
    ]


def firing_frames(
    rows: Sequence[dict[str, object]], pairs: Sequence[dict[str, object]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `firing` and `firing_pairs`, with their columns even if nothing fired."""
    columns = ["site", "rank", "before", "token", "fires", "value", "cut"]
    frame = pd.DataFrame(rows)
    missing = [name for name in frame.columns if name == "precision" or name.startswith(MAY_MISS)]
    frame = frame.astype(dict.fromkeys(missing, "Float64"))
    return frame, pd.DataFrame(pairs, columns=columns)


def _word(piece: str) -> str:
    return piece.strip().lower()
