"""docs/sae_sensitivity.md and its figures, from the records of the sensitivity study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from needlepoint._core.files import write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "sae_sensitivity.md"
FIGURES = ROOT / "docs" / "figures"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "needlepoint",
    "svg.fonttype": "none",
}
AXES = ("training examples", "counting pairs", "codes", "penalty")
"""Settings that are numbers, each a panel of the figure."""
SERIES = (
    ("unique codes (the paper's score)", ("auc",), "#1b6ca8", "o-"),
    ("share of unique codes", ("normalised", "auc"), "#e0a030", "s--"),
    ("distinct codes (a control)", ("distinct codes", "auc"), "#7a5195", "^:"),
)
SCORES = {
    "mean_difference": "mean difference",
    "effect_size": "effect size",
    "linear_probe": "linear probe",
    "output_norm": "output norm",
    "untrained_codes": "unique codes, untrained encoder",
    "kmeans_codes": "unique codes, k-means",
    "layer_index": "layer",
}
LEVEL = 0.05
"""Difference of two AUCs below which they are called level: half of what either is uncertain by."""
PAPER_TEXT = """\
The paper's own records (node AUC against the heads of the literature, on GPT-2 small and a
four-layer attention-only model) say: more training examples *lower* the AUC on greater-than
(.86 with 5, .68 with 250) and on IOI (.88 to .78), and leave docstring level; more counting
examples *raise* it (greater-than .56 with 5 of each kind, .85 with 250); more codes lower it on
greater-than (.77 with about 130, .55 from 1000 on) and change nothing on IOI and docstring; a
higher penalty lowers it on greater-than (.75 to .53) and a little on the others; raw counts do
better than normalised ones on docstring and IOI (.97 against .92, .89 against .84) and much the
same on greater-than. So "5 to 10 examples are enough" is true of training alone: scoring took
250 prompts of each kind."""

Record = Mapping[str, Any]


def write_page(records: Sequence[Record]) -> None:
    """Write the page and its figures; nothing if there are no records."""
    if not records:
        return
    FIGURES.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        _curves(records)
        _scores(records)
    write_text(PAGE, "\n".join(_page(records)) + "\n")


def _at(record: Record, **wanted: Any) -> list[Record]:
    """Cells under the settings of the paper but for those wanted; any seed."""
    asked = {**record["asked"]["paper"], **{key.replace("_", " "): v for key, v in wanted.items()}}
    return [cell for cell in record["cells"] if asked.items() <= cell.items()]


def _values(cells: Sequence[Record], path: Sequence[str]) -> list[float]:
    found = []
    for cell in cells:
        value: Any = cell
        for key in path:
            value = value[key]
        found.append(float(value))
    return found


def _steps(record: Record, axis: str) -> list[tuple[Any, list[Record]]]:
    """The values of a setting that were measured, in order, with their cells."""
    paper = record["asked"]["paper"]
    others = [key for key in paper if key != axis]
    cells = [c for c in record["cells"] if all(c[key] == paper[key] for key in others)]
    values = list(dict.fromkeys(cell[axis] for cell in cells))
    values = sorted(values) if axis in AXES else values
    return [(value, [cell for cell in cells if cell[axis] == value]) for value in values]


def _all_values(records: Sequence[Record], axis: str) -> list[Any]:
    """The values of a setting that were measured on any task, in order."""
    found = dict.fromkeys(value for record in records for value, _ in _steps(record, axis))
    return sorted(found) if axis in AXES else list(found)


def _title(record: Record) -> str:
    return str(record["asked"]["task"]).replace("_", " ")


def _control(record: Record, name: str, key: str = "auc") -> float:
    """A control under the settings of the paper."""
    paper = record["asked"]["paper"]
    wanted = {"score": name, **{k: paper[k] for k in ("counting pairs", "positions")}}
    return float(next(row[key] for row in record["controls"] if wanted.items() <= row.items()))


def _curves(records: Sequence[Record]) -> None:
    """AUC against each setting, one row for each task, with the mean difference beside it."""
    size = (9.6, 2.1 * len(records) + 0.6)
    figure, grid = plt.subplots(
        len(records), len(AXES), figsize=size, sharey=True, sharex="col", squeeze=False
    )
    for row, record in zip(grid, records, strict=True):
        for axes, axis in zip(row, AXES, strict=True):
            _panel(axes, record, axis, _all_values(records, axis))
        row[0].set_ylabel(f"{_title(record)}\nAUC")
    for axes, axis in zip(grid[-1], AXES, strict=True):
        axes.set_xlabel(axis)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=4, loc="upper center", frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / size[1]))
    _save(figure, "sae_sensitivity")


def _panel(axes: Any, record: Record, axis: str, ticks: Sequence[Any]) -> None:
    """One task and setting; ticks are of all tasks, whose panels share them."""
    steps = _steps(record, axis)
    places = [value for value, _ in steps]
    for label, path, colour, mark in SERIES:
        found = [_values(cells, path) for _, cells in steps]
        middle = [mean(values) for values in found]
        ends = [[m - min(v) for m, v in zip(middle, found, strict=True)]]
        ends += [[max(v) - m for m, v in zip(middle, found, strict=True)]]
        axes.errorbar(
            places, middle, ends, fmt=mark, color=colour, label=label,
            markersize=3.5, linewidth=1.1, elinewidth=0.7,
        )  # fmt: skip
    if axis == "counting pairs":
        rows = sorted(_mean_differences(record), key=lambda row: int(row["counting pairs"]))
        counts = [row["counting pairs"] for row in rows]
        axes.plot(counts, [row["auc"] for row in rows], "-", color="#5a5a5a", linewidth=1.1)
    else:
        axes.axhline(_control(record, "mean_difference"), color="#5a5a5a", linewidth=1.1)
    axes.plot([], [], color="#5a5a5a", linewidth=1.1, label="mean difference (a baseline)")
    axes.axhline(0.5, color="#b8b8b8", linewidth=0.7, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks(ticks, ticks, fontsize=7)
    axes.minorticks_off()


def _mean_differences(record: Record) -> Iterator[Record]:
    where = record["asked"]["paper"]["positions"]
    for row in record["controls"]:
        if row["score"] == "mean_difference" and row["positions"] == where:
            yield row


def _scores(records: Sequence[Record]) -> None:
    """AUC of every score under the settings of the paper, one row for each."""
    figure, axes = plt.subplots(figsize=(7.2, 3.6))
    marks = "os^Dv<>"
    for place, record in enumerate(records):
        rows = _all_scores(record)
        heights = range(len(rows))[::-1]
        axes.plot(
            [row["auc"] for row in rows], heights, marks[place], label=_title(record),
            markersize=5, alpha=0.85,
        )  # fmt: skip
    axes.set_yticks(heights, [row["label"] for row in rows])
    axes.axvline(0.5, color="#b8b8b8", linewidth=0.7, linestyle=":")
    axes.set_xlabel("AUC for the heads that matter")
    # Above the axes: within them its signs would read as data.
    axes.legend(frameon=False, fontsize=8, ncols=6, loc="lower right", bbox_to_anchor=(1, 1))
    _save(figure, "sae_controls")


def _all_scores(record: Record) -> list[dict[str, Any]]:
    """Scores under the settings of the paper: the mean over seeds, least and most."""
    cells, pairs = _at(record), record["pairs"]
    groups = [
        ("unique codes (the paper's score)", cells, ()),
        ("unique codes, silence apart", cells, ("silence apart",)),
        ("share of unique codes", cells, ("normalised",)),
        ("pairs of codes (edge score)", [p for p in pairs if not p["normalised"]], ()),
        ("pairs of codes, share", [p for p in pairs if p["normalised"]], ()),
        ("distinct codes", cells, ("distinct codes",)),
    ]
    rows = [
        {
            "label": label,
            "auc": mean(found := _values(of, [*path, "auc"])),
            "range": (min(found), max(found)),
            "average_precision": mean(_values(of, [*path, "average_precision"])),
        }
        for label, of, path in groups
    ]
    for name, label in SCORES.items():
        found = [_control(record, name, key) for key in ("auc", "average_precision")]
        rows.append({"label": label, "auc": found[0], "average_precision": found[1]})
    return rows


def _save(figure: Any, name: str) -> None:
    figure.savefig(FIGURES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _page(records: Sequence[Record]) -> Iterator[str]:
    asked = records[0]["asked"]
    yield "# How much the discrete autoencoder's score depends on its settings"
    yield ""
    yield "Written by `python benchmarks/sae_sensitivity.py --page`; do not edit it by hand."
    yield ""
    yield from _method(records, asked)
    yield from ("", "## What the paper found", "", PAPER_TEXT, "")
    yield from ("## What we find here", "", _summary(records), "", *_findings(records), "")
    yield from ("![AUC against each setting](figures/sae_sensitivity.svg)", "")
    yield from ("## Beside the controls", "", *_score_table(records), "")
    yield from ("![AUC of every score](figures/sae_controls.svg)", "")
    yield from ("## Setting by setting", "", *_setting_tables(records))


def _method(records: Sequence[Record], asked: Mapping[str, Any]) -> Iterator[str]:
    truth = "; ".join(
        f"{_title(r)}: {r['asked']['truth']['heads']} of {r['asked']['truth']['of']} heads"
        for r in records
    )
    paper = ", ".join(f"{key} {value}" for key, value in asked["paper"].items())
    effects = "; ".join(f"{_title(r)}: {r['asked']['pairs']['effects']}" for r in records)
    yield (
        f"On {asked['model']['name']}. The truth is causal: a head matters if resampling it, from "
        "the paired corrupt prompt, moves the metric by more than 2 % of the clean-minus-corrupt "
        f"range and three standard errors ({truth}; pairs: {effects}). AUC is over all heads. One "
        "setting at a time is changed from those of the paper's main results "
        f"({paper}, {asked['steps']} steps). Ranges are the least and the most over seeds of the "
        "autoencoder, on the same prompts: they leave out what other prompts would change, and "
        "with some 20 heads that matter an AUC is itself uncertain by about .1. Where a setting "
        "has one seed (see the tables), two settings are told apart if they differ by more than "
        f"seeds do under the paper's settings. {_seed_words(records)}{_gap_words(records)}"
    )


def _seed_words(records: Sequence[Record]) -> str:
    """How many seeds each changed setting has, task by task."""
    words = []
    for record in records:
        counts = {
            len(cells)
            for axis in (*AXES, "positions")
            for value, cells in _steps(record, axis)
            if value != record["asked"]["paper"][axis]
        }
        if counts:
            few, most = min(counts), max(counts)
            words.append(f"{_title(record)} {few if few == most else f'{few} to {most}'}")
    return f"Seeds of each changed setting: {', '.join(words)}." if words else ""


def _gap_words(records: Sequence[Record]) -> str:
    """Which values were measured on some tasks and not on others."""
    gaps: dict[tuple[str, ...], list[str]] = {}
    for axis in (*AXES, "positions"):
        for value in _all_values(records, axis):
            lack = [_title(r) for r in records if value not in dict(_steps(r, axis))]
            if lack:
                gaps.setdefault(tuple(lack), []).append(f"{axis} {value}")
    words = [f"{', '.join(values)} (not on {', '.join(lack)})" for lack, values in gaps.items()]
    return f" Measured on some tasks only: {'; '.join(words)}." if words else ""


def _varied(record: Record, axis: str) -> bool:
    """Whether a setting has two values on a task, so that it can be said what more of it does."""
    return len(_steps(record, axis)) > 1


def _summary(records: Sequence[Record]) -> str:
    """In how many tasks the score beats the simple ones, and what each setting does to it."""
    raw = [mean(_values(_at(record), ["auc"])) for record in records]
    simple = [_control(record, "mean_difference") for record in records]
    blank = [_control(record, "untrained_codes") for record in records]
    below = sum(simple[i] - raw[i] >= LEVEL for i in range(len(raw)))
    learned = sum(raw[i] - blank[i] >= LEVEL for i in range(len(raw)))
    parts = []
    for axis in AXES:
        varied = [record for record in records if _varied(record, axis)]
        words = [_change(record, axis)[0] for record in varied]
        raised, lowered = words.count("raises"), words.count("lowers")
        name = "a higher penalty" if axis == "penalty" else f"more {axis}"
        verb, down = ("raises", "lowers") if axis == "penalty" else ("raise", "lower")
        of = "" if len(varied) == len(records) else f" (varied on {len(varied)})"
        parts.append(f"{name} {verb} the AUC on {raised}, {down} it on {lowered}{of}")
    return (
        f"Of {len(records)} tasks, the paper's score is below the norm of the mean difference on "
        f"{below}, and above the same count with an untrained encoder on {learned} (by {LEVEL} or "
        f"more). From the least to the most of each setting on a task: {'; '.join(parts)}."
    )


def _findings(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        raw = _values(_at(record), ["auc"])
        share = _values(_at(record), ["normalised", "auc"])
        tied = _values(_at(record), ["correlation with distinct codes"])
        simple = _control(record, "mean_difference")
        apart = mean(raw) - simple
        verdict = "about level with" if abs(apart) < LEVEL else "above" if apart > 0 else "below"
        yield (
            f"- **{_title(record)}.** The paper's score reaches AUC {_range(raw)}, {verdict} the "
            f"norm of the mean difference ({simple:.2f}); with an untrained encoder it is "
            f"{_control(record, 'untrained_codes'):.2f}, with k-means centres "
            f"{_control(record, 'kmeans_codes'):.2f}. It goes with the number of different codes "
            f"that a head uses (correlation {_range(tied)}). The share of unique codes, which the "
            f"paper sets aside, reaches {_range(share)}."
        )
        if any(_varied(record, axis) for axis in AXES):
            yield f"  {_trends(record)}"


def _trends(record: Record) -> str:
    """From the lowest to the highest value of each setting, in words; equal within the seeds."""
    parts = []
    for axis in (axis for axis in AXES if _varied(record, axis)):
        steps = _steps(record, axis)
        low, high = steps[0][0], steps[-1][0]
        word, one, two = _change(record, axis)
        tail = ", within the range over seeds" if word == "leaves" else ""
        parts.append(
            f"going from {low} to {high} {axis if axis != 'penalty' else 'of penalty'} {word} the "
            f"AUC ({mean(one):.2f} to {mean(two):.2f}{tail})"
        )
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _change(record: Record, axis: str) -> tuple[str, list[float], list[float]]:
    """What going from the least to the most of a setting does to the AUC, and both ends."""
    steps = _steps(record, axis)
    one, two = (_values(cells, ["auc"]) for _, cells in (steps[0], steps[-1]))
    if not _apart(one, two, _values(_at(record), ["auc"])):
        return "leaves", one, two
    return "raises" if mean(two) > mean(one) else "lowers", one, two


def _apart(one: Sequence[float], two: Sequence[float], paper: Sequence[float]) -> bool:
    """Whether two settings differ by more than seeds do: theirs, or the paper's if one has one."""
    if min(len(one), len(two)) > 1:
        return max(one) < min(two) or max(two) < min(one)
    return abs(mean(one) - mean(two)) > max(paper) - min(paper)


def _range(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f} over {len(values)} seeds)"


def _score_table(records: Sequence[Record]) -> Iterator[str]:
    yield "Under the settings of the paper: AUC (least to most over seeds), average precision."
    yield ""
    yield _line(["score", *[f"{_title(r)}: AUC | AP" for r in records]])
    yield _line(["---", *["---: | ---:" for _ in records]])
    for rows in zip(*[_all_scores(record) for record in records], strict=True):
        cells = []
        for row in rows:
            low, high = row.get("range", (row["auc"], row["auc"]))
            spread = f" ({low:.2f} to {high:.2f})" if "range" in row else ""
            cells.append(f"{row['auc']:.2f}{spread} | {row['average_precision']:.2f}")
        yield _line([rows[0]["label"], *cells])
    yield ""
    yield from _tie_lines(records)


def _tie_lines(records: Sequence[Record]) -> Iterator[str]:
    widest = max(
        (high - low, _title(r))
        for r in records
        for p in r["pairs"]
        for low, high in [sorted(p["for and against the truth"])]
    )
    yield (
        "The edge score counts heads in the leading pairs up to a cut, and pairs of equal count "
        "stand on both sides of it. Between putting first, among ties, the pairs with most heads "
        "that matter and putting them last, the AUC moves by "
        f"{widest[0]:.3f} at most ({widest[1]})."
    )


def _setting_tables(records: Sequence[Record]) -> Iterator[str]:
    aucs = ("unique codes, AUC", "share, AUC", "distinct codes, AUC")
    heads = (*aucs, "codes per head", "silent", "dead heads", "seeds")
    for record in records:
        yield from (f"### {_title(record)}", "")
        yield _line(["setting", "value", *heads])
        yield _line(["---", "---", *["---:"] * len(heads)])
        for axis in (*AXES, "positions"):
            for value, cells in _steps(record, axis):
                yield _line([axis, str(value), *_cells(cells)])
        yield ""


def _cells(cells: Sequence[Record]) -> list[str]:
    aucs = [_values(cells, path) for _, path, _, _ in SERIES]
    return [
        *[f"{mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in aucs],
        f"{mean(_values(cells, ['codes per head'])):.1f}",
        f"{mean(_values(cells, ['silent'])):.0%}",
        f"{mean(_values(cells, ['dead heads'])):.0%}",
        str(len(cells)),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
