"""Whether a head changes more consistently, within its codes, than coin tosses would have it."""

from __future__ import annotations

from dataclasses import replace

import torch

from needlepoint.circuits.calibrated.code_shift import code_shift
from needlepoint.circuits.calibrated.design import Design
from needlepoint.circuits.calibrated.nulls import Adjust, HeadTest, against_null
from needlepoint.circuits.calibrated.rankings import N_FOLDS, rows_of
from needlepoint.circuits.calibrated.shuffles import shuffles
from needlepoint.circuits.calibrated.stability import N_RESAMPLES, drawn_counts
from needlepoint.circuits.head_data import HeadData

N_DRAWS = 1000


def change_test(
    data: HeadData,
    generator: torch.Generator,
    *,
    n_draws: int = N_DRAWS,
    adjust: Adjust = "bh",
) -> HeadTest:
    """Test the score `calibrated_sae`: its square is held against what chance would make it.

    The null exchanges clean and corrupt within pairs, the same way for all heads and positions.
    That turns the change of a pair round, and hands its code and that of its mirror to one
    another; so which pairs agree, and by how much, is worked out once for each head, and an
    exchange costs one product with that matrix. Dictionaries are learned from the pairs of the
    other fold, either way round, and cannot know the signs. Nor does it cost more to let pairs
    count as often as they are drawn: what `again` holds, folds and dictionaries staying as they are
    and no pair being held against its own copy.

    Args:
        data: Activations of the pairs, with their changes at each position if those were read.
        generator: Source of the folds, dictionaries and exchanges; the score draws the first two
            alike.
        n_draws: Exchanges to draw, where there are too many to go through.
        adjust: How p-values are adjusted for the number of heads.

    Example:
        >>> clean, corrupt = torch.randn(2, 20, 3, 4, generator=torch.Generator().manual_seed(0))
        >>> clean[:, 1, 0] += 6  # what one head writes has one more part on clean prompts
        >>> data = HeadData(clean, corrupt, torch.eye(4, 6).repeat(3, 1, 1), torch.zeros(3).long())
        >>> change_test(data, torch.Generator().manual_seed(0)).found().tolist()
        [False, True, False]
    """
    rows = rows_of(data)
    folds = torch.from_numpy(Design.of_pairs(data).folds(N_FOLDS, generator))[: rows.n_pairs]
    clean = torch.arange(2).flip(0).repeat_interleave(rows.n_pairs)
    design = Design(clean, torch.arange(rows.n_pairs).repeat(2))
    aside = _aside(generator)
    labelings = shuffles(design, n_draws, aside)
    turned = 2 * torch.from_numpy(labelings.labels[: rows.n_pairs]) - 1
    counts = drawn_counts(rows.n_pairs, N_RESAMPLES, aside, data.group_of)
    weights = torch.cat([torch.ones(rows.n_pairs, 1), turned, counts.T], 1)
    found = code_shift(rows, folds, data.autoencoder, generator, weights)
    observed, null, again = found.tensor_split([1, 1 + len(labelings)], dim=1)
    test = against_null(observed[:, 0].numpy(), null.numpy(), exact=labelings.exact, adjust=adjust)
    return replace(test, again=again.T)


def _aside(generator: torch.Generator) -> torch.Generator:
    """Another stream that follows from the state of a generator and leaves it as it is."""
    found = torch.Generator()
    found.set_state(generator.get_state())
    return found.manual_seed(int(torch.randint(2**62, (), generator=found)))
