"""What a study is asked to do: one frozen dataclass is the Python call, the command, the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from needlepoint._core.errors import DataError, unknown_name

MIN_PAIRS = 8
"""Fewer prompt pairs than this are not searched for a circuit."""


def too_few_pairs(task: str, n_pairs: int) -> str | None:
    """What is to be said of a task with too few prompt pairs to be searched for a circuit."""
    if n_pairs >= MIN_PAIRS:
        return None
    return (
        f"{task} has {n_pairs} pairs; at least {MIN_PAIRS} are needed, and 60 or more make the "
        "smaller effects visible."
    )


def require(config: object, least: Mapping[str, int]) -> None:
    """Make sure that each number of a config is at least so much."""
    for name, floor in least.items():
        value = getattr(config, name)
        if value < floor:
            raise DataError(f"{name} is {value}; it must be at least {floor}.")


METRICS = ("", "logit difference", "probability difference", "kl")
"""What a study of heads can measure; the task's own metric if empty."""

ABLATIONS = ("resample", "mean", "zero")
"""What an ablated part can be replaced by."""
READINGS = ("mean", "mean_without_first", "last")
"""Positions at which scores can read the heads of a prompt, besides those that its task names."""
ABLATE_PAIRS = 60
"""Prompt pairs on which every node is ablated unless another number is asked for."""


@dataclass(frozen=True)
class HeadsConfig:
    """How to look for the attention heads that carry out a behaviour.

    Raises:
        DataError: If a number is too small to be used.
        UnknownNameError: If there is no such metric.
    """

    task: str = "ioi"
    """A built-in behaviour, a JSONL file of prompt pairs, or a Python file, which is run."""
    corruption: str = ""
    """How the corrupt prompts are made: one of the task's corruptions; its first unless given."""
    metric: str = ""
    """'logit difference', 'probability difference' or kl; the task's own unless given."""
    score_pairs: int = 250
    """Prompt pairs that the scores see."""
    reading: str = "mean"
    """Where in a prompt the scores read the heads: mean (over all positions), mean_without_first,
    last, or a position that the task names. Scores of changes compare every position anyway."""
    ablate_pairs: int | None = None
    """Prompt pairs on which every head and MLP is ablated, one at a time: what really matters. 60
    unless given; 0 for none, as with --methods sae, which leaves heads as candidates."""
    ablation: str = "resample"
    """What an ablated part is replaced by: resample (its value on the paired corrupt prompt), mean
    (over all corrupt prompts, position by position) or zero."""
    attribution_pairs: int = 40
    """Prompt pairs given to the methods that run the model, forward or backward."""
    holdout_pairs: int = 40
    """Fresh prompt pairs on which the faithfulness of circuits is measured."""
    random_circuits: int = 40
    """Random circuits of the same size to compare with. A quarter of them, 5 at most, are followed
    over all sizes of the curve."""
    sae_seeds: int = 3
    """Discrete autoencoders trained side by side; scores are their mean."""
    methods: tuple[str, ...] = ()
    """Ways of finding heads and edges to compare: names from the list below, or sae, fast or all,
    which stand for several. fast unless given. Cheap controls are compared with them, except where
    head scores alone are named."""
    edges: int = 20
    """Connections between parts that each method for edges puts forward. Those of one method are
    cut one by one, to measure what they really do."""
    curve_pairs: int = 0
    """Fresh prompt pairs on which circuits of every method for edges are run, from few edges to
    all; 0 for none. Slow: one run of the model for each pair, method and size."""
    completeness: bool = False
    """Whether the model is also run without each circuit, and the circuit of heads also held
    against random ones with as many heads in each layer, and taken apart head by head. Slow: with
    40 random circuits about four times as many runs of circuits of heads."""
    stability: int = 0
    """Times that methods which run the model, and scores that are slow to make, are run again on
    two halves of their pairs, to see how far both name the same heads; 0 for none. Each time takes
    as long as they did, and what draws something at random is run twice more, with other seeds.
    Quick scores are made again on resamples of the pairs in any case."""
    seed: int = 0
    """The one number that all randomness follows from."""

    def __post_init__(self) -> None:
        pairs = {"score_pairs": MIN_PAIRS, "holdout_pairs": 2, "attribution_pairs": 2}
        require(self, {**pairs, "random_circuits": 1, "sae_seeds": 1, "edges": 1})
        require(self, {"curve_pairs": 2 if self.curve_pairs else 0})
        require(self, {"stability": 2 if self.stability else 0})
        if self.completeness:
            require(self, {"random_circuits": MIN_RANDOM})
            if not self.n_ablated and not self.curve_pairs:
                raise DataError(
                    "completeness is asked for and there is no circuit to run: add --ablate-pairs "
                    f"{ABLATE_PAIRS} for circuits of heads, --curve-pairs 24 for those of edges."
                )
        if self.ablate_pairs not in (None, 0):
            require(self, {"ablate_pairs": 2})
        if self.ablation not in ABLATIONS:
            raise unknown_name("ablation", self.ablation, ABLATIONS)
        if self.metric not in METRICS:
            raise unknown_name("metric", self.metric, METRICS[1:])

    @property
    def n_ablated(self) -> int:
        """Prompt pairs on which every node is ablated."""
        if self.ablate_pairs is not None:
            return self.ablate_pairs
        return 0 if self.methods == ("sae",) else ABLATE_PAIRS


MIN_RANDOM = 20
"""Fewer random circuits have no 2.5 % and 97.5 % points to speak of; 100 or more are better."""
METHODS = ("adaptive_thresholding", "top_k", "forward", "swap", "paper")
"""Names of the selectors of sparse probes, as in `probing.selectors`, which loads torch."""
RANKINGS = (
    "mean_difference_std",
    "mean_difference",
    "f_statistic",
    "mutual_information",
    "auc",
    "best_f1",
    "best_mcc",
    "l1_logistic",
    "linear_svm",
    "random",
)
"""Names of the rankings that selectors can start from; the first is what they start from."""
DELETIONS = ("weight", "wald")
"""Names of the rules by which selectors give neurons up; the first is what they follow."""
RANKED = ("adaptive_thresholding", "top_k", "swap")
"""Selectors that start from a ranking."""
DELETING = ("adaptive_thresholding", "swap")
"""Selectors that delete by a rule."""


@dataclass(frozen=True)
class NeuronsConfig:
    """How to look for the neurons that carry features.

    Raises:
        DataError: If a number is too small to be used, or the method has no ranking or rule of
            deletion to choose.
        UnknownNameError: If there is no such method, ranking or rule.
    """

    features: str = "programming_language"
    """A built-in collection, a table of labelled text, or a Python file, which is run."""
    examples: int = 60
    """Texts for each feature, for built-in collections."""
    tokens: int = 0
    """Length of a text in tokens, for built-in collections; the collection's own if 0."""
    source: str = ""
    """Where a built-in collection comes from: packages, hub or a path; its first unless given."""
    max_k: int = 256
    """Most neurons that one probe reads."""
    method: str = "adaptive_thresholding"
    """How the neurons of sparse probes are selected: adaptive_thresholding, top_k, forward, swap
    or paper."""
    ranking: str = "mean_difference_std"
    """The order of neurons that top_k reads and adaptive_thresholding and swap start from:
    mean_difference_std, mean_difference, f_statistic, mutual_information, auc, best_f1, best_mcc,
    l1_logistic, linear_svm or random."""
    deletion: str = "weight"
    """Which neurons adaptive_thresholding and swap give up: those of the smallest weight, or, by
    wald, those whose loss costs the fit least."""
    permutations: int = 200
    """Shuffles of the labels for the null distribution; 20 for each feature are drawn at least."""
    sparse_null: int = 0
    """Moves of the labels under which the whole search for sparse probes is repeated, for a p-value
    of the few neurons together; as many searches, so none unless asked for."""
    ablate_features: int = 0
    """Features whose neuron is ablated, the surest first; all of them if 0."""
    ablate_texts: int = 32
    """Test texts of each kind on which the found neurons are ablated; nothing is ablated if 0."""
    random_neurons: int = 19
    """Random sets of neurons to compare each ablation with."""
    cards: int = 3
    """Leading neurons of each feature that are shown with the texts that excite them; none if 0."""
    prevalence: float = 0.5
    """Share of positive texts at which F1 is restated, to compare features of unlike shares."""
    certify: int = 0
    """Sizes of sparse probes, from 1 up, to be solved at the chosen layer with a proof, under the
    paper's ridge and weaker ones; none if 0."""
    seed: int = 0
    """The one number that all randomness follows from."""

    def __post_init__(self) -> None:
        texts = {"examples": 6, "tokens": 4 if self.tokens else 0}
        texts["ablate_texts"] = 2 if self.ablate_texts else 0
        probes = {"max_k": 1, "permutations": 1, "random_neurons": 1}
        require(self, {**texts, **probes, "ablate_features": 0, "cards": 0})
        require(self, {"certify": 0, "sparse_null": 0})
        if not 0 < self.prevalence < 1:
            raise DataError(f"prevalence is {self.prevalence}; it must lie between 0 and 1.")
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        self._check_start("ranking", RANKINGS, RANKED, "starts from no ranking")
        self._check_start("deletion", DELETIONS, DELETING, "deletes by no rule")

    def _check_start(
        self, setting: str, known: Sequence[str], able: Sequence[str], lack: str
    ) -> None:
        """A name that is known, and not by default only where the method reads it."""
        name = getattr(self, setting)
        if name not in known:
            raise unknown_name(setting, name, known)
        if name != known[0] and self.method not in able:
            raise DataError(
                f"{setting} is {name}, but {self.method} {lack}; use it with {', '.join(able)}."
            )


DEMO_HEADS = HeadsConfig(
    score_pairs=100,
    ablate_pairs=12,
    attribution_pairs=12,
    holdout_pairs=12,
    random_circuits=12,
    sae_seeds=1,
    methods=(
        "change_and_answer",
        "discrete_sae",
        "mean_difference",
        "effect_size",
        "linear_probe",
        "attribution_patching",
        "eap",
        "untrained_codes",
        "distinct_codes",
        "output_norm",
        "layer_index",
        "random",
    ),
    edges=8,
)
"""Sized so that the demo ends within three minutes on two cores."""

DEMO_NEURONS = NeuronsConfig(
    examples=48, tokens=48, ablate_features=2, ablate_texts=8, random_neurons=2, cards=2
)
"""Sized so that the demo ends within three minutes on two cores."""
