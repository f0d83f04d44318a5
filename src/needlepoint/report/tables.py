"""The tables of one cell, checked against the contract of the run folder."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from needlepoint._core.errors import StoreError
from needlepoint._core.records import Record, RunFolder

COLUMNS: dict[str, str] = {
    "heads": "layer head site effect effect_low effect_high matters",
    "methods": "method label description auc auc_low auc_high average_precision chance_precision "
    "spearman seconds uses_labels control",
    "faithfulness": "size kind draw faithfulness low high",
    "prompts": "clean corrupt answer wrong",
    "curve": "feature layer k f1_validation auc_validation selected",
    "tests": "feature probe layer k sites f1 f1_low f1_high precision recall auc f1_validation",
    "neurons": "feature layer neuron site sign mean_difference mean_difference_std "
    "logistic_weight logistic_bias logistic_loss threshold f1_train f1_validation rank",
    "depth": "feature layer site f1_validation",
    "ablation": "feature sites neurons mode texts loss_increase low high n_random p_value",
    "excerpts": "feature site rank document label tokens activations",
    "histograms": "feature site label bin_left bin_right count",
}


@dataclass(frozen=True)
class CellTables:
    """Reads the tables of one record; a table that was not written is empty, not an error."""

    run: RunFolder
    record: Record

    def frame(self, name: str, *more: str) -> pd.DataFrame:
        """One table with at least the columns of the contract and `more`, possibly without rows.

        Raises:
            StoreError: If the table is damaged, or has rows but lacks a column.
        """
        columns = [*COLUMNS[name].split(), *more]
        if name not in self.record.tables:
            return pd.DataFrame(columns=columns)
        frame = self.run.table(self.record.cell, name)
        lacking = [column for column in columns if column not in frame.columns]
        if lacking and len(frame):
            raise StoreError(
                f"table {name!r} of {self.record.cell} has no column {lacking[0]!r}; "
                "the run is damaged or was written by another version: run it again."
            )
        return frame if not lacking else pd.DataFrame(columns=columns)
