"""What a first pass gathers about one layer: sums and histograms by class, and no activation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.activations.bins import Bins
from needlepoint.activations.class_histograms import ClassHistograms
from needlepoint.activations.class_sums import ClassSums
from needlepoint.probing.histogram_scores import histogram_scores


class LayerStatistics:
    """Sums of the training and of the validation rows, and histograms of the training rows.

    The first rows are the pilot by which bins are laid out; they are counted too.
    """

    def __init__(self, groups: Sequence[int], n_bins: int) -> None:
        """Prepare for features, of which those of one group are asked on the same rows."""
        self.train = ClassSums()
        self.validation = ClassSums()
        self.histograms: ClassHistograms | None = None
        self._groups, self._n_bins = groups, n_bins

    def update(
        self,
        x: Float[Tensor, "example neuron"],
        labels: Bool[Tensor, "example feature"],
        members: Bool[Tensor, "example feature"],
        train: Bool[Tensor, " example"],
    ) -> None:
        """Take in some rows, those of `train` for training and the others for validation."""
        # labels stay on the processor, activations may lie elsewhere
        of_x = train.to(x.device)
        self.validation.update(x[~of_x], labels[~train], members[~train])
        x, labels, members = x[of_x], labels[train], members[train]
        if len(x) == 0:
            return
        self.train.update(x, labels, members)
        if self.histograms is None:
            self.histograms = ClassHistograms(Bins.of(x, self._n_bins), self._groups)
        self.histograms.update(x, labels, members)

    def scores(self) -> dict[str, Float[Tensor, "feature neuron"]]:
        """Every score of every neuron, on the processor, in float32; the histograms are let go.

        Names are those of the rankings; those with `low`, `high` and `sign` after them go with
        the ranking before.

        Raises:
            DataError: If no training rows were seen.
            OneClassError: If a feature has rows of one class only.
        """
        if self.histograms is None:
            raise DataError("no training rows were seen; a first pass needs some.")
        difference = self.train.standardized_mean_difference()
        side = torch.where(self.train.mean_difference() >= 0, 1.0, -1.0)
        found = {
            "mean_difference": self.train.mean_difference(),
            "mean_difference_std": difference.abs(),
            "f_statistic": self.train.f_statistic(),
            "sign": side,
            "validation": self.validation.standardized_mean_difference(),
        }
        counted = histogram_scores(self.histograms)
        self.histograms = None
        found |= {
            "auc": counted.auc,
            "auc.low": counted.auc - counted.auc_error,
            "auc.high": counted.auc + counted.auc_error,
            "auc.sign": torch.where(counted.auc >= 0.5, 1.0, -1.0),
            "mutual_information": counted.mutual_information,
        }
        for name, bounded in (("best_f1", counted.f1), ("best_mcc", counted.mcc)):
            found |= {
                name: bounded.low,
                f"{name}.low": bounded.low,
                f"{name}.high": bounded.high,
                f"{name}.sign": bounded.sign,
            }
        return {name: table.float().cpu() for name, table in found.items()}
