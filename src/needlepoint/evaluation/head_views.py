"""What single heads look at and say on a few prompts: attention patterns, and discrete codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import ModelError
from needlepoint.circuits.dictionary import Dictionary, Reading
from needlepoint.models.attention import attention_patterns
from needlepoint.models.hooks import record
from needlepoint.models.model import Batch, Model
from needlepoint.models.published import value_offsets
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Prompts

LEAST_HEADS, MOST_HEADS = 8, 24
"""Heads that are shown: those that matter, but no fewer and no more than this."""
MOST_PAIRS = 3
"""Pairs whose patterns are kept."""
MOST_TOKENS = 64
"""Longer prompts are not shown: a pattern has half as many numbers as the square of this."""
CODE_PAIRS = 16
"""Pairs on which codes are read token by token."""
MOST_CODES, MOST_EXAMPLES = 8, 6
"""Codes kept of each head, and tokens of each code."""
SILENT = -1
"""Stands for no code at all."""
SIDES = ("clean", "corrupt")


@dataclass(frozen=True)
class Codes:
    """A trained dictionary, and what it says of each head on the prompts that scores see."""

    dictionary: Dictionary
    reading: Reading
    W_O: Float[Tensor, "head d_head d_model"]


@dataclass(frozen=True)
class HeadViews:
    """The three tables of a study of heads that let a reader look at single heads."""

    shown: pd.DataFrame
    """A row for each prompt shown: `pair, side, tokens`."""
    attention: pd.DataFrame
    """A row for each head and prompt shown: `site, pair, side, weights, codes`."""
    codes: pd.DataFrame
    """A row for each head and code: `site, code, n_clean, n_corrupt, unique, tokens, counts`."""


def shown_heads(ranking: Int[Tensor, " head"], n_matter: int) -> list[int]:
    """The heads that are shown: as many of a ranking as matter, within bounds.

    Example:
        >>> len(shown_heads(torch.arange(100), 3)), len(shown_heads(torch.arange(100), 60))
        (8, 24)
    """
    n = min(max(n_matter, LEAST_HEADS), MOST_HEADS)
    found: list[int] = ranking[:n].tolist()
    return found


def head_views(
    model: Model, prompts: Prompts, heads: Sequence[int], codes: Codes | None
) -> HeadViews:
    """Attention patterns of some heads on the first few pairs, and the codes that they say.

    Codes are those of the first dictionary of the ensemble. The dictionary has been trained on
    outputs reduced over positions; here it also reads the output at each token, which it was not
    trained on. The prompt-level counts are of what the score of a head counts, but for silence,
    which is no code here.

    Args:
        model: The model to run: two passes for each of at most `CODE_PAIRS` pairs.
        prompts: The pairs that scores see.
        heads: Which heads, counted over the whole model in layer-major order.
        codes: The dictionary of a score of codes; None if none was trained.

    Returns:
        Tables of bounded size. There are no patterns if no prompt is short enough, or if the
        attention of the model cannot be read.
    """
    pairs = [pair for pair, length in enumerate(prompts.lengths) if length <= MOST_TOKENS]
    said = None if codes is None else _token_codes(model, prompts, pairs[:CODE_PAIRS], heads, codes)
    return HeadViews(
        *_patterns(model, prompts, pairs[:MOST_PAIRS], heads, said),
        _code_frame(model, prompts, heads, codes, said),
    )


Text = tuple[int, str]
"""A prompt: its pair, and its side."""
Said = dict[Text, Int[Tensor, "pos head"]]
"""For each prompt, the code of each head shown at each position, the first token included."""


def _texts(pairs: Sequence[int]) -> list[Text]:
    return [(pair, side) for pair in pairs for side in SIDES]


def _ids(model: Model, prompts: Prompts, text: Text) -> list[int]:
    """The tokens of a prompt as the model gets them, the first token included."""
    pair, side = text
    ids = prompts.clean_ids if side == "clean" else prompts.corrupt_ids
    return [*model.prefix, *ids[pair]]


def _batches(
    model: Model, prompts: Prompts, texts: Sequence[Text]
) -> Iterator[tuple[Sequence[Text], Batch]]:
    """All prompts at once where padding is not attended to; else one by one."""
    for some in [texts] if model.causal else [[text] for text in texts]:
        first = len(model.prefix)
        yield some, model.batch([_ids(model, prompts, text)[first:] for text in some])


def _patterns(
    model: Model, prompts: Prompts, pairs: Sequence[int], heads: Sequence[int], said: Said | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    texts = _texts(pairs)
    try:
        found = _read_patterns(model, prompts, texts, heads)
    except ModelError:
        texts, found = [], {}
    shown = [(*text, model.encoder.pieces(_ids(model, prompts, text))) for text in texts]
    rows = [
        (
            _name(model, head),
            *text,
            _flat(found[text][place], causal=model.causal),
            None if said is None else said[text][:, place].tolist(),
        )
        for text in texts
        for place, head in enumerate(heads)
    ]
    return (
        pd.DataFrame(shown, columns=["pair", "side", "tokens"]),
        pd.DataFrame(rows, columns=["site", "pair", "side", "weights", "codes"]),
    )


def _read_patterns(
    model: Model, prompts: Prompts, texts: Sequence[Text], heads: Sequence[int]
) -> dict[Text, list[Float[Tensor, "pos pos"]]]:
    """For each prompt, the pattern of each head shown."""
    places = [divmod(head, model.shape.n_heads) for head in heads]
    found = {}
    for some, batch in _batches(model, prompts, texts) if texts else ():
        patterns = attention_patterns(model, batch, {layer for layer, _ in places})
        for row, (text, n) in enumerate(zip(some, batch.lengths.tolist(), strict=True)):
            found[text] = [patterns[layer][row, head, :n, :n] for layer, head in places]
    return found


def _name(model: Model, head: int) -> str:
    layer, index = divmod(head, model.shape.n_heads)
    return f"L{layer}.H{index}"


def _flat(pattern: Float[Tensor, "pos pos"], *, causal: bool) -> list[float]:
    """A pattern row by row, to six places; of a causal model what lies ahead is left out."""
    kept = pattern.tril().cpu()
    rows = [row[: place + 1] for place, row in enumerate(kept)] if causal else list(pattern.cpu())
    return [round(float(value), 6) for value in torch.cat(rows)]


def _token_codes(
    model: Model, prompts: Prompts, pairs: Sequence[int], heads: Sequence[int], codes: Codes
) -> Said:
    """What each head says at each token."""
    places = [divmod(head, model.shape.n_heads) for head in heads]
    sites = {layer: Site.of(layer, Part.HEADS) for layer, _ in places}
    offsets = value_offsets(model)
    weights = codes.W_O[list(heads)]
    said: Said = {}
    for some, batch in _batches(model, prompts, _texts(pairs)) if pairs else ():
        with record(model, list(sites.values())) as kept:
            model.hidden(batch)
        z = torch.stack(
            [
                kept[sites[layer]][:, :, index].float().cpu() - offsets[layer, index]
                for layer, index in places
            ],
            dim=2,
        )
        for row, (text, n) in enumerate(zip(some, batch.lengths.tolist(), strict=True)):
            found = codes.dictionary.read_z(z[row, :n], weights)
            said[text] = found.codes[0].masked_fill(found.silent[0], SILENT)
    return said


def _code_frame(
    model: Model,
    prompts: Prompts,
    heads: Sequence[int],
    codes: Codes | None,
    said: Said | None,
) -> pd.DataFrame:
    columns = ["site", "code", "n_clean", "n_corrupt", "unique", "tokens", "counts"]
    rows = []
    if codes is not None and said is not None:
        whole = codes.reading.codes[0].masked_fill(codes.reading.silent[0], SILENT)
        for place, head in enumerate(heads):
            fired = _fired(model, prompts, said, place)
            for code, clean, corrupt in _counted(whole[:, head], prompts.n_pairs):
                top = fired.get(code, Counter()).most_common(MOST_EXAMPLES)
                unique = _unique(code, clean, corrupt)
                tokens, counts = [token for token, _ in top], [count for _, count in top]
                rows.append((_name(model, head), code, clean, corrupt, unique, tokens, counts))
    return pd.DataFrame(rows, columns=columns)


def _counted(said: Int[Tensor, " example"], n_pairs: int) -> list[tuple[int, int, int]]:
    """Codes of one head with prompts, clean and corrupt: half for those unique to clean ones."""
    clean, corrupt = Counter(said[:n_pairs].tolist()), Counter(said[n_pairs:].tolist())
    found = [(code, clean[code], corrupt[code]) for code in clean.keys() | corrupt.keys()]
    found.sort(key=lambda one: (-one[1] - one[2], one[0]))
    own = [one for one in found if _unique(*one)][: MOST_CODES // 2]
    rest = [one for one in found if one not in own]
    return own + rest[: MOST_CODES - len(own)]


def _unique(code: int, clean: int, corrupt: int) -> bool:
    """Whether it is a code, and one that is said on clean prompts alone."""
    return code != SILENT and clean > 0 and corrupt == 0


def _fired(model: Model, prompts: Prompts, said: Said, place: int) -> dict[int, Counter[str]]:
    """For each code of one head, the tokens of clean prompts at which the head says it."""
    found: dict[int, Counter[str]] = {}
    for (pair, side), codes in said.items():
        if side == "clean":
            pieces = model.encoder.pieces(_ids(model, prompts, (pair, side)))
            for token, code in zip(pieces, codes[:, place].tolist(), strict=True):
                found.setdefault(code, Counter())[token] += 1
    return found
