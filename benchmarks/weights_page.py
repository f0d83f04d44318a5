"""What the page of case studies says of weights by depth, with its figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from needlepoint.evaluation.case_studies.weights_by_depth import STATISTICS
from page_cells import table
from study_cells import BLUE, GREY, Record, Records, save

BY_LAYER = ("input_norm", "output_norm", "up_cosine")
"""Statistics of weights that the table by layer has."""


def weights(records: Records) -> list[str]:
    """The section on weights by depth; empty without a record."""
    found = [record for name, record in records.items() if name.startswith("weights.")]
    if not found:
        return []
    _weights_figure(found)
    lines = ["## Weights by depth", "", "    needlepoint weights", ""]
    for record in found:
        lines += [f"**{record['model']['name']}.** {record['summary']['answer']}", ""]
    return [
        *lines,
        "![Weights by depth](figures/case_weights.svg)",
        "",
        "Medians over the neurons of each layer, bands from the 20 % to the 80 % point; dashed the "
        "untrained copy of the same shape. The norm before the MLP is folded into what neurons "
        "read.",
        "",
        *_weights_text(found),
        "",
        "Medians by layer:",
        "",
        _weights_table(found),
        "",
        *(f"- {one}" for one in found[0]["summary"]["not_established"]),
        "",
    ]


def _weights_text(found: list[Record]) -> list[str]:
    undefined = [
        record["model"]["name"]
        for record in found
        if record["summary"]["norm_bias_early_minus_late"] is None
    ]
    text = found[0]["summary"]["published_shape"]
    if undefined:
        text += (
            f" That product has no meaning in {' and '.join(undefined)}, whose neurons are gated "
            "and have no bias; the published shape can be neither confirmed nor denied here. What "
            "is left is how norms and angles run through the layers."
        )
    return [text, "", *(f"- {_angles(record)}" for record in found)]


def _angles(record: Record) -> str:
    one = record["summary"]["curves"]["up_cosine"]
    text = (
        f"{record['model']['name']}: the median cosine of what the up map reads and what the "
        f"neuron writes goes from {one['early']:+.2f} in the first quarter of the layers to "
        f"{one['late']:+.2f} in the last (untrained {one['untrained']:+.2f})."
    )
    if "gemma" in record["model"]["family"]:
        text += (
            " Its MLPs write through one more norm, so that output norms, which are before it, "
            "are not what reaches the stream."
        )
    return text


def _weights_table(found: list[Record]) -> str:
    head = ["layer"]
    columns = []
    for record in found:
        frame = pd.DataFrame(record["table.depth_weights"])
        own = frame[frame["weights"] == "trained"]
        for name in BY_LAYER:
            head.append(f"{record['asked']['model']}: {STATISTICS[name]}")
            here = own[own["statistic"] == name].set_index("layer")["p50"]
            columns.append(here.to_dict())
    layers = sorted({layer for column in columns for layer in column})
    return table(
        head,
        (
            (
                str(layer),
                *(f"{column[layer]:.3f}" if layer in column else "-" for column in columns),
            )
            for layer in layers
        ),
    )


def _weights_figure(found: list[Record]) -> None:
    frames = [pd.DataFrame(record["table.depth_weights"]) for record in found]
    names = [name for name in STATISTICS if any((one["statistic"] == name).any() for one in frames)]
    figure, grid = plt.subplots(
        len(found), len(names), figsize=(2.3 * len(names), 2.1 * len(found)), squeeze=False
    )
    for row, (axes_of, frame) in enumerate(zip(grid, frames, strict=True)):
        for axes, name in zip(axes_of, names, strict=True):
            for weights, colour, line in (("trained", BLUE, "-"), ("untrained", GREY, "--")):
                here = frame[(frame["statistic"] == name) & (frame["weights"] == weights)]
                axes.plot(here["layer"], here["p50"], line, color=colour, lw=1.4)
                axes.fill_between(here["layer"], here["p20"], here["p80"], color=colour, alpha=0.18)
            axes.set_title(STATISTICS[name] if row == 0 else "", fontsize=8)
            axes.tick_params(labelsize=7)
        axes_of[0].set_ylabel(found[row]["model"]["name"], fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("layer", fontsize=8)
    figure.tight_layout()
    save(figure, "case_weights")
