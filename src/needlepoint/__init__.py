"""needlepoint: find the neurons and heads of a language model that matter, and check them.

Every public name is imported from here and loaded at first use, so `import needlepoint` is quick.

Example:
    >>> import needlepoint
    >>> str(needlepoint.Site.parse("L3.H7.z"))
    'L3.H7.z'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from needlepoint._core.errors import NeedlepointError
    from needlepoint._core.records import Record, RunFolder
    from needlepoint._core.seeds import seed_for
    from needlepoint.activations.extract import Extraction, extract
    from needlepoint.activations.reduce import Rows
    from needlepoint.activations.stream import collect, gather
    from needlepoint.circuits.estimators import DiscreteSAE
    from needlepoint.circuits.scores import HEAD_SCORES
    from needlepoint.evaluation.check_tasks import check_task, check_tasks
    from needlepoint.evaluation.configs import HeadsConfig, NeuronsConfig
    from needlepoint.evaluation.find_heads import find_heads, judge_heads
    from needlepoint.evaluation.find_neurons import find_neurons, judge_neurons
    from needlepoint.evaluation.grid.config import GridConfig
    from needlepoint.evaluation.grid.run import resume_grid, run_grid
    from needlepoint.evaluation.study import Study
    from needlepoint.features import COLLECTIONS, load_collection, show_alignment
    from needlepoint.features.collection import Collection
    from needlepoint.models.check import check_model
    from needlepoint.models.hooks import record, replace
    from needlepoint.models.load import load_model
    from needlepoint.models.model import Batch, Model
    from needlepoint.models.sites import Site
    from needlepoint.probing.estimators import OptimalSparseProbe, SparseProbe
    from needlepoint.report.figures.notebook import show
    from needlepoint.report.page import build_report
    from needlepoint.tasks import TASKS, load_task
    from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts

    __version__: str

__all__ = [
    "COLLECTIONS",
    "HEAD_SCORES",
    "TASKS",
    "Batch",
    "Collection",
    "DiscreteSAE",
    "Extraction",
    "GridConfig",
    "HeadsConfig",
    "Model",
    "NeedlepointError",
    "NeuronsConfig",
    "OptimalSparseProbe",
    "Pair",
    "Prompts",
    "Record",
    "Rows",
    "RunFolder",
    "Site",
    "SparseProbe",
    "Study",
    "__version__",
    "build_report",
    "check_model",
    "check_task",
    "check_tasks",
    "collect",
    "extract",
    "find_heads",
    "find_neurons",
    "gather",
    "judge_heads",
    "judge_neurons",
    "load_collection",
    "load_model",
    "load_task",
    "pair_prompts",
    "record",
    "replace",
    "resume_grid",
    "run_grid",
    "seed_for",
    "show",
    "show_alignment",
]

_HOMES = {
    "_core.errors": ("NeedlepointError",),
    "_core.records": ("Record", "RunFolder"),
    "_core.seeds": ("seed_for",),
    "activations.extract": ("Extraction", "extract"),
    "activations.reduce": ("Rows",),
    "activations.stream": ("collect", "gather"),
    "circuits.estimators": ("DiscreteSAE",),
    "circuits.scores": ("HEAD_SCORES",),
    "evaluation.check_tasks": ("check_task", "check_tasks"),
    "evaluation.configs": ("HeadsConfig", "NeuronsConfig"),
    "evaluation.find_heads": ("find_heads", "judge_heads"),
    "evaluation.find_neurons": ("find_neurons", "judge_neurons"),
    "evaluation.grid.config": ("GridConfig",),
    "evaluation.grid.run": ("resume_grid", "run_grid"),
    "evaluation.study": ("Study",),
    "features": ("COLLECTIONS", "load_collection", "show_alignment"),
    "features.collection": ("Collection",),
    "models.check": ("check_model",),
    "models.hooks": ("record", "replace"),
    "models.load": ("load_model",),
    "models.model": ("Batch", "Model"),
    "models.sites": ("Site",),
    "probing.estimators": ("OptimalSparseProbe", "SparseProbe"),
    "report.figures.notebook": ("show",),
    "report.page": ("build_report",),
    "tasks": ("TASKS", "load_task"),
    "tasks.pairs": ("Pair", "Prompts", "pair_prompts"),
}
"""Where each public name is defined; the imports above say the same to type checkers."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("needlepoint")
    else:
        home = next((module for module, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module 'needlepoint' has no attribute {name!r}")
        found = getattr(import_module(f"needlepoint.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
