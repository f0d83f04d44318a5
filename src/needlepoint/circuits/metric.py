"""What is measured on the next token: answers, the distance from a prediction, or any function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.tasks.pairs import Metric, Prompts

FILL = -1
"""Stands in the place of a token where a pair has fewer answers than another."""
UNITS: dict[Metric, Literal["logits", "probability"]] = {
    "logit difference": "logits",
    "probability difference": "probability",
}
"""What one more of each metric is one more of."""


KL = "KL divergence"
"""What `Divergence` is called in records."""
KL_UNIT = "nats"
KL_ROWS = 64
"""Pairs whose predictions are compared at once: of a large vocabulary, float64 takes room."""


@runtime_checkable
class Measure(Protocol):
    """One number for each pair, from the logits of its next token."""

    def __call__(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        """The metric."""
        ...

    def __len__(self) -> int:
        """How many pairs it is for."""
        ...

    @property
    def name(self) -> str:
        """What it is called in records."""
        ...

    @property
    def unit(self) -> str:
        """What it is counted in."""
        ...

    @property
    def least(self) -> float | None:
        """The value that it cannot fall below, where its gradient is nil; None if there is none."""
        ...

    def rows(self, index: slice | Tensor) -> Measure:
        """The same for some of the pairs, in the order of the index; a pair may come again."""
        ...

    def repeat(self, copies: int) -> Measure:
        """The same for all pairs, again and again."""
        ...


class Answered(NamedTuple):
    """How a model answered some prompts."""

    metric: Float[Tensor, " pair"]
    right: Bool[Tensor, " pair"]
    """Whether the best of the right tokens lies above the best of the wrong ones."""


@dataclass(frozen=True)
class Answers:
    """Right and wrong next tokens of some pairs, and what is measured on them.

    The logit difference is the mean logit of the right tokens minus the mean logit of the wrong
    ones: adding a constant to all logits does not change it. The probability difference is the
    probability that the next token is a right one minus that it is a wrong one, between -1 and 1.
    Whether a prompt is answered rightly is another question, as one wrong token may lie above all
    right ones while the mean does not: see `right_above_wrong`.

    Raises:
        DataError: If a pair has no right or no wrong token.

    Example:
        >>> answers = Answers(torch.tensor([[1]]), torch.tensor([[0, 2]]))
        >>> logits = torch.tensor([[0.0, 3.0, 4.0]])
        >>> answers(logits), answers.right_above_wrong(logits)
        (tensor([1.]), tensor([False]))
    """

    right: Int[Tensor, "pair answer"]
    """Padded with -1 where a pair has fewer right tokens than another."""
    wrong: Int[Tensor, "pair wrong_answer"]
    metric: Metric = "logit difference"

    def __post_init__(self) -> None:
        for name, tokens in (("right", self.right), ("wrong", self.wrong)):
            empty = (tokens < 0).all(1).nonzero()
            if len(empty):
                raise DataError(f"pair {int(empty[0]) + 1} has no {name} answer; give it one.")

    @classmethod
    def of(cls, prompts: Prompts, order: Sequence[int] | None = None) -> Answers:
        """The answers of prompt pairs, in their own order or another."""
        pairs = range(prompts.n_pairs) if order is None else order
        right = _padded([prompts.answer_ids[pair] for pair in pairs])
        wrong = _padded([prompts.wrong_ids[pair] for pair in pairs])
        return cls(right, wrong, prompts.metric)

    def __len__(self) -> int:
        return len(self.right)

    @property
    def name(self) -> str:
        """What the metric is called."""
        return self.metric

    @property
    def unit(self) -> str:
        """What the metric is counted in."""
        return UNITS[self.metric]

    @property
    def least(self) -> None:
        """There is no least value that a prediction reaches."""

    @property
    def chance(self) -> float:
        """Share of right answers to expect if the listed tokens came in any order alike."""
        right, wrong = ((tokens >= 0).sum(1) for tokens in (self.right, self.wrong))
        return float((right.double() / (right + wrong)).mean())

    def rows(self, index: slice | Tensor) -> Answers:
        """Those of some of the pairs."""
        return replace(self, right=self.right[index], wrong=self.wrong[index])

    def repeat(self, copies: int) -> Answers:
        """Those of all pairs, again and again."""
        return replace(self, right=self.right.repeat(copies, 1), wrong=self.wrong.repeat(copies, 1))

    def to(self, device: torch.device) -> Answers:
        """The same on a device."""
        return replace(self, right=self.right.to(device), wrong=self.wrong.to(device))

    def __call__(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        """The metric of each pair, from the logits of its next token."""
        if self.metric == "logit difference":
            return (_mean(logits, self.right) - _mean(logits, self.wrong)).float()
        log_probabilities = logits.float().log_softmax(-1)
        return _mass(log_probabilities, self.right) - _mass(log_probabilities, self.wrong)

    def right_above_wrong(self, logits: Float[Tensor, "pair vocab"]) -> Bool[Tensor, " pair"]:
        """Whether the best right token lies above the best wrong one; a tie is not right."""
        best_right = _taken(logits, self.right, -torch.inf).amax(1)
        return best_right > _taken(logits, self.wrong, -torch.inf).amax(1)

    def judge(self, logits: Float[Tensor, "pair vocab"]) -> Answered:
        """The metric of each pair, and whether it was answered rightly."""
        return Answered(self(logits), self.right_above_wrong(logits))


@dataclass(frozen=True)
class Divergence:
    """KL divergence from a reference prediction of each pair, in nats: no answer is needed.

    With the logits of the clean prompts as the reference it says how far an ablation moves the
    whole next-token distribution, in whichever direction: 0 is the clean model.
    """

    reference: Float[Tensor, "pair vocab"]

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def name(self) -> str:
        """What it is called."""
        return KL

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return KL_UNIT

    @property
    def least(self) -> float:
        """What it is where a prediction is its reference, and the gradient nil."""
        return 0.0

    def rows(self, index: slice | Tensor) -> Divergence:
        """That of some of the pairs."""
        return Divergence(self.reference[index])

    def repeat(self, copies: int) -> Divergence:
        """That of all pairs, again and again."""
        return Divergence(self.reference.repeat(copies, 1))

    def __call__(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        """How far each prediction is from its reference."""
        return kl(logits, self.reference)


@dataclass(frozen=True)
class Custom:
    """Any function of the logits of the next token, under a name of its own.

    The function is given the logits of some of the pairs, in any order and more than once, and
    gives one number for each: it may not mix pairs. Where the number depends on which pair it is
    of, `targets` holds what it needs to know, one row for each pair, and the function is given
    the rows that belong to the logits as its second argument.

    Raises:
        DataError: If there are not as many targets as pairs; when called, if the function gives
            anything but one number for each pair.

    Example:
        >>> def first(logits):
        ...     return logits.log_softmax(-1)[:, 0]
        >>> custom = Custom(first, n_pairs=2, name="log-probability of token 0", unit="nats")
        >>> custom(torch.zeros(2, 4))
        tensor([-1.3863, -1.3863])
    """

    function: Callable[..., Tensor]
    n_pairs: int
    name: str
    unit: str
    targets: Shaped[Tensor, "pair ..."] | None = None
    least: float | None = None
    """The value that it cannot fall below, where its gradient is nil: 0 of a distance."""

    def __post_init__(self) -> None:
        if self.targets is not None and len(self.targets) != self.n_pairs:
            raise DataError(
                f"{self.name!r} has targets for {len(self.targets)} of {self.n_pairs} pairs; give "
                "one row for each."
            )

    def __len__(self) -> int:
        return self.n_pairs

    def rows(self, index: slice | Tensor) -> Custom:
        """That of some of the pairs."""
        places = torch.arange(self.n_pairs)[index.cpu() if isinstance(index, Tensor) else index]
        targets = None if self.targets is None else self.targets[index]
        return replace(self, n_pairs=len(places), targets=targets)

    def repeat(self, copies: int) -> Custom:
        """That of all pairs, again and again."""
        targets = self.targets
        if targets is not None:
            targets = targets.repeat(copies, *[1] * (targets.dim() - 1))
        return replace(self, n_pairs=copies * self.n_pairs, targets=targets)

    def __call__(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        """What the function gives."""
        given = (logits,) if self.targets is None else (logits, self.targets)
        found = self.function(*given)
        if found.shape != logits.shape[:1]:
            raise DataError(
                f"{self.name!r} gave numbers of shape {tuple(found.shape)} for {len(logits)} "
                "pairs; it must give one for each."
            )
        return found.float()


def kl(
    logits: Float[Tensor, "pair vocab"], reference_logits: Float[Tensor, "pair vocab"]
) -> Float[Tensor, " pair"]:
    """KL divergence of each next-token distribution from its reference, in nats.

    The mean, over next tokens drawn from the reference, of how much lower their log-probability
    is under `logits`. At least 0, and 0 only where the distributions are equal. Not symmetric.
    Summed in float64, as the terms nearly cancel where the two are close.

    Example:
        >>> even, sure = torch.zeros(1, 2), torch.tensor([[0.0, -torch.inf]])
        >>> kl(even, sure)
        tensor([0.6931])
    """
    parts = [slice(start, start + KL_ROWS) for start in range(0, len(logits), KL_ROWS)]
    return torch.cat([_kl(logits[part], reference_logits[part]) for part in parts])


def _kl(
    logits: Float[Tensor, "pair vocab"], reference_logits: Float[Tensor, "pair vocab"]
) -> Float[Tensor, " pair"]:
    log_p = reference_logits.double().log_softmax(-1)
    log_q = logits.double().log_softmax(-1)
    terms = torch.where(log_p == -torch.inf, 0.0, log_p.exp() * (log_p - log_q))
    return terms.sum(-1).clamp(min=0).float()


def _padded(rows: Sequence[Sequence[int]]) -> Int[Tensor, "pair answer"]:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[FILL] * (width - len(row))] for row in rows])


def _taken(
    values: Float[Tensor, "pair vocab"], tokens: Int[Tensor, "pair answer"], fill: float
) -> Float[Tensor, "pair answer"]:
    """The values at some tokens, and `fill` where there is none."""
    return values.gather(1, tokens.clamp(min=0)).masked_fill(tokens < 0, fill)


def _mean(
    logits: Float[Tensor, "pair vocab"], tokens: Int[Tensor, "pair answer"]
) -> Float[Tensor, " pair"]:
    return _taken(logits, tokens, 0.0).sum(1) / (tokens >= 0).sum(1)


def _mass(
    log_probabilities: Float[Tensor, "pair vocab"], tokens: Int[Tensor, "pair answer"]
) -> Float[Tensor, " pair"]:
    return _taken(log_probabilities, tokens, -torch.inf).exp().sum(1)
