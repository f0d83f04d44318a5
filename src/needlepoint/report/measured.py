"""What a circuit record measured on the next token, by the name and unit it goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from needlepoint.report.text import number


@dataclass(frozen=True)
class Measured:
    """The metric of a record; records without its name are of logit differences."""

    metric: str = "logit difference"
    unit: str = "logits"

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Measured:
        """What the summary of a `circuit` record says was measured."""
        parts = [summary.get("behaviour") or {}, summary.get("ablation") or {}]
        metric = next((part["metric"] for part in parts if part.get("metric")), cls.metric)
        unit = next((part["unit"] for part in parts if part.get("unit")), cls.unit)
        return cls(str(metric), str(unit))

    @property
    def key(self) -> str:
        """How names of columns begin.

        Example:
            >>> Measured("probability difference", "probability").key
            'probability_difference'
        """
        return self.metric.replace(" ", "_")

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
        joint = " " if self.unit == "logits" else " of "
        return f"{number(value, signed=True)}{joint}{self.unit}"


LOGITS = Measured()
"""What most records measure."""
