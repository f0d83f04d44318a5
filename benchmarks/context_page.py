"""What the page of case studies says of context neurons, with its figure."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from needlepoint.evaluation.case_studies.context_words import NOT_ESTABLISHED as OF_CONTEXT
from page_cells import table
from study_cells import BLUE, ORANGE, Record, Records, minutes, save, shown, title


def context(records: Records) -> list[str]:
    """The section on context neurons; empty without a record."""
    found = [record for name, record in records.items() if name.startswith("context.")]
    if not found:
        return []
    _context_figure(found)
    lines = ["## Context neurons: on throughout a text of one kind?", ""]
    for record in found:
        summary, asked = record["summary"], record["asked"]
        lines += [
            f"### {title(asked['features'])}",
            "",
            f"    needlepoint context --features {asked['features']} --examples "
            f"{asked['examples']} --ablate-classes {asked['ablate_classes']}",
            "",
            f"{summary['collection']['n_examples']:,} texts in {record['model']['name']}. "
            f"{summary['answer']} {minutes(record)}.",
            "",
            _context_table(summary),
            "",
        ]
    return [
        *lines,
        "![Context neurons](figures/case_context.svg)",
        "",
        "Left of each pair: F1 of the neuron's mean over a text, and AUC of its value on a single "
        "token; a neuron that is on throughout has both near 1. Right: rise of the loss on texts "
        "of each kind when the neuron is set to its mean. *Perfect*: neurons with an F1 of 1 on "
        "validation texts; where there are many, the one named was put first by chance. *Own* and "
        "*random*: rise of the loss in millinats per token on a few of the kind's own test texts, "
        "and that of random neurons that write as much.",
        "",
        *(f"- {one}" for one in OF_CONTEXT),
        "",
    ]


def _context_table(summary: Record) -> str:
    head = ("kind", "neuron", "F1 by text", "AUC by token", "F1 by token", "perfect")
    head += ("verdict", "own", "random", "own less random")
    return table(
        head,
        (
            (
                one["feature"],
                f"{'' if one['sign'] > 0 else '-'}{one['site']}",
                shown(one["f1"]),
                shown(one["token_auc"]),
                shown(one["token_f1"]),
                str(one["n_perfect"]),
                one["verdict"],
                _milli(one["own"]),
                _milli(one["random"]),
                _milli(one["gap"], whole=True),
            )
            for one in summary["classes"]
        ),
    )


def _milli(found: Record | None, *, whole: bool = False) -> str:
    """An interval of a change of the loss, in thousandths."""
    if found is None:
        return "not tried"
    text = f"{1000 * found['estimate']:+.1f}"
    if not whole or found["low"] is None:
        return text
    return f"{text} ({1000 * found['low']:+.1f} to {1000 * found['high']:+.1f})"


def _reach(found: Record, end: str) -> float:
    """How far a bar goes to one end of an interval; not at all where there is none."""
    return 0.0 if found[end] is None else abs(found[end] - found["estimate"])


def _context_figure(found: list[Record]) -> None:
    rows = max(len(record["summary"]["classes"]) for record in found)
    figure, grid = plt.subplots(
        len(found), 2, figsize=(9.2, (0.3 * rows + 1.2) * len(found)), squeeze=False
    )
    for (left, right), record in zip(grid, found, strict=True):
        classes = record["summary"]["classes"]
        places = np.arange(len(classes))[::-1]
        for key, label, colour, mark, shift in (
            ("f1", "F1 by text", BLUE, "o", 0.14),
            ("token_auc", "AUC by token", ORANGE, "D", -0.14),
        ):
            middle = np.array([one[key]["estimate"] for one in classes])
            ends = [[_reach(one[key], end) for one in classes] for end in ("low", "high")]
            left.errorbar(
                middle, places + shift, xerr=ends, fmt=mark, color=colour, label=label, ms=4, lw=1
            )
        left.set_yticks(places, [f"{one['feature']}  {one['site']}" for one in classes], fontsize=8)
        left.set_xlim(0, 1.03)
        left.set_title(title(record["asked"]["features"]), fontsize=9, loc="left")
        left.legend(frameon=False, fontsize=8, loc="lower left")
        _ablation_image(figure, right, pd.DataFrame(record["table.class_ablation"]))
    figure.tight_layout()
    save(figure, "case_context")


def _ablation_image(figure: Any, axes: Any, frame: pd.DataFrame) -> None:
    order = list(dict.fromkeys(frame["feature"]))
    kinds = list(dict.fromkeys(frame["texts"]))
    values = 1000 * frame.pivot(index="feature", columns="texts", values="mean").loc[order, kinds]
    most = float(np.abs(values.to_numpy(dtype=float)).max())
    image = axes.imshow(
        values.to_numpy(dtype=float), cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto"
    )
    axes.set_yticks(range(len(order)), order, fontsize=8)
    axes.set_xticks(range(len(kinds)), kinds, rotation=60, ha="right", fontsize=8)
    axes.set_xlabel("texts of")
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("rise of the loss, millinats per token", fontsize=7)
