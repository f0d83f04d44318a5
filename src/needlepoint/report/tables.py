"""The tables of one cell, checked against the contract of the run folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from needlepoint._core.errors import StoreError
from needlepoint._core.records import Record, RunFolder

COLUMNS: dict[str, str] = {
    "heads": "layer head site effect effect_low effect_high matters",
    "methods": "method label description auc auc_low auc_high average_precision chance_precision "
    "spearman seconds uses_labels control level precision_at_k f1 repo_f1 forward_passes "
    "backward_passes peak_bytes signed cpr cpr_low cpr_high cmd cmd_low cmd_high "
    "average_precision_low average_precision_high above_control above_control_low "
    "above_control_high",
    "stability": "method units k how n_pairs n_resamples jaccard low high chance verdict reason "
    "n_seeds seed_jaccard seed_low seed_high seed_verdict seed_reason",
    "literature": "variant units method label n_units n_true auc auc_low auc_high "
    "average_precision average_precision_low average_precision_high chance_precision "
    "precision_at_k f1 repo_f1 reason",
    "nodes": "node kind layer index effect effect_low effect_high",
    "edges": "method rank writer reader score effect effect_low effect_high confirmed",
    "curves": "method order share size n_edges faithfulness low high",
    "faithfulness": "size kind draw faithfulness low high",
    "completeness": "size kind ranked_by draw faithfulness completeness low high",
    "minimality": "unit change p minimal helps",
    "edge_completeness": "method order share size n_edges completeness low high",
    "prompts": "clean corrupt answer wrong",
    "shown_prompts": "pair side tokens",
    "attention": "site pair side weights codes",
    "codes": "site code n_clean n_corrupt unique tokens counts",
    "curve": "feature layer k f1_validation auc_validation selected",
    "tests": "feature probe layer k sites f1 f1_low f1_high precision recall mcc mcc_low mcc_high "
    "balanced_accuracy auc auc_low auc_high average_precision f1_at_prevalence f1_zero "
    "f1_validation",
    "tests_by_k": "feature layer k sites f1 f1_low f1_high precision recall mcc mcc_low mcc_high "
    "balanced_accuracy auc average_precision f1_validation f1_zero f1_zero_low f1_zero_high "
    "precision_zero recall_zero mcc_zero balanced_accuracy_zero",
    "equivalent": "feature rank site sign f1_validation difference low high correlation",
    "null": "feature scheme draw largest",
    "certificates": "feature layer k objective bound gap gamma status seconds overlap ridge chosen "
    "f1_validation f1 f1_low f1_high mcc auc sweep_f1 difference difference_low difference_high "
    "reason",
    "neurons": "feature layer neuron site sign mean_difference mean_difference_std "
    "logistic_weight logistic_bias logistic_loss threshold f1_train f1_validation rank",
    "depth": "feature layer site f1_validation",
    "ablation": "feature sites neurons mode texts loss_increase low high n_random p_value",
    "excerpts": "feature site rank document label tokens activations",
    "histograms": "feature site label bin_left bin_right count",
    "ngrams": "site n before token count documents mean low high maximum token_mean drives firing "
    "group",
    "strata": "site feature stratum low high mean tokens documents positives precision "
    "precision_low precision_high share_of_positives",
    "mistakes": "site feature kind rank document before token after activation",
    "logits": "site side rank token token_id effect z",
    "similar": "site by rank other layer value lower_half",
    "sums": "probe sites sign f1 f1_low f1_high auc auc_low auc_high gap gap_low gap_high gap_p",
    "compounds": "word verdict sites f1 f1_low f1_high neuron neuron_f1 neuron_f1_low "
    "neuron_f1_high gap gap_low gap_high q_value ap ap_low ap_high neuron_ap neuron_ap_low "
    "neuron_ap_high ap_gap ap_gap_low ap_gap_high ap_q",
    "bases": "layer basis draw unit f1 low high",
    "basis_paths": "layer k f1_neurons f1_random f1_random_least f1_random_most",
    "pruning": "round f1_validation f1 low high change change_low change_high site",
    "firing": "site tokens fires precision pairs ap ap_low ap_high",
    "firing_pairs": "site rank before token fires value cut",
    "class_neurons": "feature site sign f1 f1_low f1_high p_value n_perfect token_f1 token_f1_low "
    "token_f1_high token_auc token_auc_low token_auc_high",
    "token_values": "feature texts n p0_5 p25 p50 p75 p99_5",
    "class_ablation": "feature site texts own zero zero_low zero_high mean mean_low mean_high "
    "random random_low random_high gap gap_low gap_high",
    "token_effects": "feature site direction rank before token change",
    "depth_weights": "layer depth statistic p0_5 p20 p50 p80 p99_5 scaled weights",
    "models": "model parameters neurons layers d_model trained",
    "model_scores": "model collection feature site sign k best best_low best_high matched "
    "matched_low matched_high sparse sparse_low sparse_high baseline_f1",
    "model_means": "model collection measure f1 f1_low f1_high",
    "model_differences": "collection larger smaller measure feature difference difference_low "
    "difference_high",
    "published": "group model neurons f1",
}

ADDED: dict[str, str] = {
    "methods": "level precision_at_k f1 repo_f1 forward_passes backward_passes peak_bytes signed "
    "cpr cpr_low cpr_high cmd cmd_low cmd_high average_precision_low average_precision_high "
    "above_control above_control_low above_control_high",
    "stability": "n_seeds seed_jaccard seed_low seed_high seed_verdict seed_reason",
    "literature": "average_precision_low average_precision_high",
    "tests": "mcc mcc_low mcc_high balanced_accuracy auc_low auc_high average_precision "
    "f1_at_prevalence f1_zero",
    "certificates": "ridge chosen f1_validation f1 f1_low f1_high mcc auc sweep_f1 difference "
    "difference_low difference_high reason",
    "sums": "gap_p",
    "minimality": "helps",
    "firing": "ap ap_low ap_high",
}
"""Columns of the contract that tables of earlier versions lack; they stand in `COLUMNS` too."""


@dataclass(frozen=True)
class CellTables:
    """Reads the tables of one record; a table that was not written is empty, not an error."""

    run: RunFolder
    record: Record

    def frame(self, name: str, *more: str) -> pd.DataFrame:
        """One table with at least the columns of the contract and `more`, possibly without rows.

        Columns that an earlier version did not write hold missing values; `absent` names them.

        Raises:
            StoreError: If the table is damaged, or has rows but lacks a column that every version
                wrote.
        """
        columns = [*COLUMNS[name].split(), *more]
        if name not in self.record.tables:
            return pd.DataFrame(columns=columns)
        frame = self._filled(name)
        lacking = [column for column in columns if column not in frame.columns]
        if lacking and len(frame):
            raise StoreError(
                f"table {name!r} of {self.record.cell} has no column {lacking[0]!r}; "
                "the run is damaged or was written by another version: run it again."
            )
        return frame if not lacking else pd.DataFrame(columns=columns)

    def absent(self, name: str) -> tuple[str, ...]:
        """Columns of a table that the version which wrote it did not know; none without a table."""
        if name not in self.record.tables:
            return ()
        found = self.run.table(self.record.cell, name).columns
        return tuple(column for column in ADDED.get(name, "").split() if column not in found)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays whose names begin so, by the rest of the name; none if none were written."""
        if not any(name.startswith(prefix) for name in self.record.arrays):
            return {}
        found = self.run.arrays(self.record.cell)
        return {
            name.removeprefix(prefix): array
            for name, array in found.items()
            if name.startswith(prefix)
        }

    def _filled(self, name: str) -> pd.DataFrame:
        frame = self.run.table(self.record.cell, name)
        return frame.assign(**dict.fromkeys(self.absent(name), float("nan")))
