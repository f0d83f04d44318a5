"""Refusal of a metric whose gradient on the clean prompts is nil by construction."""

from __future__ import annotations

import torch

from needlepoint._core.errors import DataError
from needlepoint.circuits.methods import Question
from needlepoint.circuits.pair_batch import clean_metric


def require_gradient(question: Question) -> None:
    """Make sure that the gradient of the metric on the clean prompts is not nil by construction.

    A metric at its least value has a gradient of 0 whatever parts do, so that scores by it, and
    any ranking by them, are rounding noise. KL divergence from the clean prediction is the case in
    point. Since one prompt in two batches may give two roundings, a mean over pairs that is above
    the least value by less than the precision of the model's numbers counts as there. Where a
    metric has no least value nothing is run, elsewhere the clean prompts once.

    Raises:
        DataError: If the metric has its least value on the clean prompts.
    """
    measure = question.pairs.answers
    if measure.least is None:
        return
    above = float(clean_metric(question.model, question.pairs).double().mean()) - measure.least
    if above > torch.finfo(question.model.dtype).eps:
        return
    raise DataError(
        f"this method takes its gradient on the clean prompts, where {measure.name} is at its "
        "least and its gradient nil, so that every score would be rounding noise: use "
        "eap_ig_inputs, whose path leaves the clean prompts, exact patching (path_patching, or "
        "the effects of ablating parts), or the task's own metric."
    )
