"""Make the pictures of docs/gallery.md from runs of the default model.

python benchmarks/gallery.py runs/gallery

The folder may hold runs already, under the names below; what is missing is run first. Figures are
those of `needlepoint figures`, screenshots those of the page in the system's Chromium.
"""

import subprocess
import sys
from pathlib import Path

from needlepoint.report import build_report
from needlepoint.report.figures import save_figures
from needlepoint.testing.browser import open_page

OUT = Path(__file__).parents[1] / "docs" / "figures" / "gallery"
COMMANDS = {
    "demo": "demo",
    "edges": "circuit --task greater_than --methods discrete_sae mean_difference random eap "
    "eap_ig_inputs random_edges --ablate-pairs 16 --curve-pairs 8",
    "weights": "weights",
}
FIGURES = {
    "heads": ("demo", "causal-effect-of-each-head"),
    "strongest": ("demo", "the-strongest-heads"),
    "methods": ("demo", "how-well-each-method-finds"),
    "faithfulness": ("demo", "how-much-of-the-behaviour"),
    "features": ("demo", "how-well-one-neuron"),
    "curves": ("demo", "how-many-neurons-it-takes-java"),
    "depth": ("demo", "at-what-depth"),
    "null": ("demo", "could-luck-have-found-it-css"),
    "graph": ("edges", "the-circuit-from"),
    "attention": ("edges", "what-a-head-looks-at"),
    "edge_curves": ("edges", "circuits-of-edges-keep-largest-first"),
    "weights": ("weights", "norm"),
}
"""File, the run it is from, and part of the figure's name."""
LARGEST = 300_000


def main(folder):
    """Run what is missing, then write every picture; each is held to its size."""
    folder = Path(folder)
    for name, command in COMMANDS.items():
        if not (folder / name / "run.json").exists():
            words = ["needlepoint", *command.split(), "--out", str(folder / name)]
            subprocess.run(words, check=True)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, (run, only) in FIGURES.items():
        saved = save_figures(folder / run, folder / "figures" / name, kind="svg", only=only)
        (OUT / f"{name}.svg").write_bytes(saved.figures[0].read_bytes())
    for scheme in ("light", "dark"):
        screenshot(build_report(folder / "demo"), OUT / f"page_{scheme}.png", scheme)
    for path in OUT.iterdir():
        print(f"{path.name} {path.stat().st_size:,} bytes")
        assert path.stat().st_size < LARGEST, f"{path} is too large"


def screenshot(page, path, scheme):
    """The top of the page as it opens."""
    with open_page(page, width=1120, height=900, colours=scheme) as opened:
        opened.page.screenshot(path=str(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
