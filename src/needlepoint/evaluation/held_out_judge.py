"""Scores any calls on the test part of the rows that one feature is asked on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint.evaluation.clustered import Resamples
from needlepoint.evaluation.read_neurons import NeuronData
from needlepoint.evaluation.tested import EVEN, Tested, score_intervals, scores_of
from needlepoint.probing.select import NeuronChoice


class Judge:
    """Scores calls on the test part of the rows that one feature is asked on."""

    def __init__(
        self,
        data: NeuronData,
        feature: int,
        labels: Tensor,
        generator: torch.Generator,
        prevalence: float = EVEN,
    ) -> None:
        self.data = data
        self.feature = feature
        self.generator = generator
        self.rows = data.of(feature)
        self.truth = labels[:, feature]
        self.prevalence = prevalence
        test = self.rows.test
        self.resamples = Resamples.draw(data.documents[test], self.truth[test], generator)

    def layer(self, layer: int) -> Float[Tensor, "example_test neuron"]:
        """Activations of a layer on the test rows."""
        return self.data.layer(layer)[self.rows.test]

    def __call__(
        self,
        probe: str,
        called: Bool[Tensor, " example_test"],
        scores: Float[Tensor, " example_test"] | None,
        *,
        layer: int | None = None,
        neurons: Sequence[int] = (),
        k: int | None = None,
        f1_validation: float | None = None,
        auc_validation: float | None = None,
        zero: Float[Tensor, " example_test"] | None = None,
        resample_scores: bool = True,
    ) -> Tested:
        """How calls on the test rows fare.

        Args:
            probe: What the probe is called.
            called: Calls on the test rows, `rows.test`.
            scores: The numbers behind them, which give AUC and average precision.
            layer: The layer that the probe reads.
            neurons: The neurons that it reads.
            k: How many numbers it reads, if they are no neurons.
            f1_validation: F1 on validation rows.
            auc_validation: AUC on validation rows.
            zero: Log-odds under balanced weights, which the paper cuts at 0.
            resample_scores: Whether AUC and average precision have intervals, which take much
                longer than those of calls.
        """
        truth = self.truth[self.rows.test]
        found = scores_of(called, truth, scores, prevalence=self.prevalence)
        resampled = scores if resample_scores else None
        intervals = score_intervals(found, self.resamples, called, resampled)
        at_zero = None
        if zero is not None:
            at_zero = scores_of(zero > 0, truth, prevalence=self.prevalence)
            if self.resamples is not None:
                intervals["f1_zero"] = self.resamples.f1_interval(zero > 0)
        return Tested(
            probe,
            layer,
            tuple(neurons),
            found,
            intervals,
            f1_validation,
            auc_validation,
            at_zero,
            k if k is not None or not neurons else len(neurons),
            called,
        )


def one_neuron(
    judge: Judge,
    name: str,
    kept: NeuronChoice,
    *,
    zero: Float[Tensor, " example_test"] | None = None,
) -> Tested:
    """How the neuron that was kept for a feature fares on the test part."""
    values = kept.sign * judge.layer(kept.layer)[:, kept.neuron].double()
    called = values > kept.sign * kept.threshold
    return judge(
        name,
        called,
        values,
        layer=kept.layer,
        neurons=(kept.neuron,),
        f1_validation=kept.f1_validation,
        zero=zero,
    )
