"""What a circuit record measured on the next token, by the name and unit it goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from needlepoint._core.errors import StoreError
from needlepoint.report.text import number

UNITS = {
    "logit difference": "logits",
    "probability difference": "probability",
    "KL divergence": "nats",
}
"""What each metric that a page can speak of is counted in."""


@dataclass(frozen=True)
class Measured:
    """The metric of a record; records without its name are of logit differences."""

    metric: str = "logit difference"
    unit: str = "logits"

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Measured:
        """What the summary of a `circuit` record says was measured on prompts.

        Raises:
            StoreError: If it is a metric that is not known here.
        """
        return cls._first([summary.get("behaviour") or {}, summary.get("ablation") or {}])

    @classmethod
    def of_effects(cls, summary: Mapping[str, Any]) -> Measured:
        """What the effects of its heads are changes of, which may be another metric."""
        return cls._first([summary.get("ablation") or {}, summary.get("behaviour") or {}])

    @classmethod
    def _first(cls, parts: Sequence[Mapping[str, Any]]) -> Measured:
        metric = str(next((part["metric"] for part in parts if part.get("metric")), cls.metric))
        if metric not in UNITS:
            raise StoreError(
                f"a record is of the metric {metric!r}, which this version does not know (it knows "
                f"{', '.join(UNITS)}): make the page with the version that wrote the run."
            )
        return cls(metric, UNITS[metric])

    @property
    def key(self) -> str:
        """How names of columns begin.

        Example:
            >>> Measured("probability difference", "probability").key
            'probability_difference'
        """
        return self.metric.replace(" ", "_")

    @property
    def directed(self) -> bool:
        """Whether more of it is better; a distance from the clean prediction has no direction."""
        return self.unit != "nats"

    @property
    def digits(self) -> int:
        """Decimals where there is little room: probabilities are small numbers."""
        return 1 if self.unit == "logits" else 2

    def amount(self, value: Any) -> str:
        """A change of the metric with its unit.

        Example:
            >>> Measured().amount(1.5), Measured("p", "probability").amount(0.25)
            ('+1.50 logits', '+0.25 of probability')
        """
        joint = " of " if self.unit == "probability" else " "
        return f"{number(value, signed=True)}{joint}{self.unit}"


LOGITS = Measured()
"""What most records measure."""
