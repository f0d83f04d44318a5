"""Every way of scoring heads from activations, by name: the method, its rivals, the controls.

A score needs no run of the model. Larger means a better candidate; the scales of two scores have
nothing to do with one another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps

import torch
from jaxtyping import Float, Int
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint._core.registry import Registry
from needlepoint._core.seeds import seed_for
from needlepoint.circuits import baselines
from needlepoint.circuits import codes as counting
from needlepoint.circuits.autoencoder import Autoencoder
from needlepoint.circuits.calibrated import rankings
from needlepoint.circuits.calibrated.code_scores import as_observed, code_test, deviation
from needlepoint.circuits.calibrated.nulls import HeadTest
from needlepoint.circuits.calibrated.paired_codes import paired_test
from needlepoint.circuits.calibrated.sign_flips import change_test
from needlepoint.circuits.code_pairs import edge_counts, pairs_unique_to_clean
from needlepoint.circuits.dictionary import Dictionary, Reading
from needlepoint.circuits.head_data import HeadData
from needlepoint.circuits.kmeans import kmeans_centres, nearest_centres

Compute = Callable[[HeadData, torch.Generator], Tensor]
Test = Callable[[HeadData, torch.Generator], HeadTest]
OfTest = Callable[[HeadTest], Tensor]

N_FOLDS = 5


def root(found: HeadTest) -> Float[Tensor, " head"]:
    """Root of a statistic that is a square; 0 where chance has left nothing of it."""
    return found.observed.clamp(min=0).sqrt()


@dataclass(frozen=True)
class HeadScore:
    """One way of scoring heads, with what a reader should know of it."""

    name: str
    label: str
    """Name for people, a few words."""
    description: str
    """One line: what a high score means."""
    source: str
    """Where it comes from."""
    uses_labels: bool
    """Whether it knows which examples are clean, or which belong together."""
    control: bool
    """Whether it is there to be beaten: it knows nothing of the behaviour, or has not learned."""
    draws: str
    """Name of the randomness it uses, empty if none. Scores that share the name and are given
    generators in the same state share one trained dictionary, which is then trained once."""
    compute: Compute
    test: Test | None = None
    """A test of each head, where there is one."""
    of_test: OfTest = root
    """The score, from what the test says."""
    on_request: bool = False
    """Whether it is left out unless it, or every score, is asked for: it trains dictionaries of its
    own, which takes longer than most other scores together."""
    ensemble: bool = False
    """Whether `compute` gives the scores by each dictionary of an ensemble, `[seed head]`, which
    were trained apart from one another; the score is their mean."""

    def generator(self, root: int, **parts: str | int) -> torch.Generator:
        """A generator seeded by what it is for: `root`, this score's `draws`, and `parts`."""
        return torch.Generator().manual_seed(seed_for(root, use=self.draws or "none", **parts))

    def score(self, data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
        """One number for each head, larger for a better candidate, in float64.

        Args:
            data: Activations of the heads. Not changed but for its `memo`.
            generator: Source of randomness, for instance `self.generator(seed, task="ioi")`.

        Raises:
            DataError: If the score of a head is not finite; the message names the head.
        """
        found = self.compute(data, generator).double()
        return self._checked(found.mean(0) if self.ensemble else found)

    def by_seed(
        self, data: HeadData, generator: torch.Generator
    ) -> Float[Tensor, "seed head"] | None:
        """The score by each dictionary of its ensemble; None if it has none.

        The score is their mean, so it is steadier than any of these. With the generator of the
        score nothing is trained anew.

        Example:
            >>> rng = torch.Generator().manual_seed(0)
            >>> clean, corrupt = torch.randn(2, 12, 3, 4, generator=rng)
            >>> settings = Autoencoder(n_codes=8, n_steps=5, n_seeds=2)
            >>> layers, weights = torch.zeros(3).long(), torch.eye(4, 6).repeat(3, 1, 1)
            >>> data = HeadData(clean, corrupt, weights, layers, autoencoder=settings)
            >>> part = HEAD_SCORES["discrete_sae"]
            >>> found = part.by_seed(data, part.generator(0))
            >>> found.shape, torch.equal(found.mean(0), part.score(data, part.generator(0)))
            (torch.Size([2, 3]), True)
        """
        return self.compute(data, generator).double() if self.ensemble else None

    def score_and_test(
        self, data: HeadData, generator: torch.Generator
    ) -> tuple[Float[Tensor, " head"], HeadTest | None]:
        """What `score` gives and, where there is a test, what it says; at the cost of one of them.

        Raises:
            DataError: As `score` does.
        """
        if self.test is None:
            return self.score(data, generator), None
        found = self.test(data, generator)
        return self._checked(self.of_test(found).double()), found

    def _checked(self, scores: Float[Tensor, " head"]) -> Float[Tensor, " head"]:
        bad = (~torch.isfinite(scores)).nonzero()
        if len(bad):
            raise DataError(
                f"the score {self.name!r} of head {int(bad[0])} is not finite: leave this score "
                "out, or look at what the head writes."
            )
        return scores


HEAD_SCORES: Registry[HeadScore] = Registry("head score")
"""The registered scores, in the order in which tables show them."""


def head_score(
    label: str,
    description: str,
    *,
    source: str,
    uses_labels: bool = True,
    control: bool = False,
    draws: str = "",
    test: Test | None = None,
    of_test: OfTest = root,
    on_request: bool = False,
    ensemble: bool = False,
) -> Callable[[Compute], Compute]:
    """Return a decorator that files a function of `(data, generator)` under its own name."""

    def file(compute: Compute) -> Compute:
        name = compute.__name__
        part = HeadScore(
            name,
            label,
            description,
            source,
            uses_labels,
            control,
            draws,
            compute,
            test,
            of_test,
            on_request,
            ensemble,
        )
        HEAD_SCORES.add(name)(part)
        return compute

    return file


def score_of_test(
    label: str, description: str, *, source: str, draws: str, of_test: OfTest
) -> Callable[[Test], Test]:
    """Return a decorator that files a test, on request: its score is what `of_test` makes of it."""

    def file(test: Test) -> Test:
        @wraps(test)
        def compute(data: HeadData, generator: torch.Generator) -> Tensor:
            return of_test(test(data, generator))

        filed = head_score(
            label, description, source=source, draws=draws, test=test, of_test=of_test,
            on_request=True,
        )  # fmt: skip
        filed(compute)
        return test

    return file


def reading_of(data: HeadData, config: Autoencoder, generator: torch.Generator) -> Reading:
    """What a dictionary trained on some of the examples, clean and corrupt alike, says of them all.

    Where there are fewer examples than the settings train on, all of them are trained on. The
    result is remembered in `data.memo` for the same settings and the same state of the
    generator, which is left as training leaves it either way.
    """
    return trained(data, config, generator)[1]


def trained(
    data: HeadData, config: Autoencoder, generator: torch.Generator
) -> tuple[Dictionary, Reading]:
    """The dictionary behind `reading_of`, and that reading; remembered as it says."""
    fitted = _fitting(data, config)
    key = (fitted, generator.get_state().numpy().tobytes())
    if key not in data.memo:
        dictionary = fitted.fit_z(data.z, data.W_O, generator)
        reading = dictionary.read_z(data.z, data.W_O)
        data.memo[key] = dictionary, reading, generator.get_state()
    dictionary, reading, state = data.memo[key]
    generator.set_state(state)
    return dictionary, reading


def codes_of(
    data: HeadData, config: Autoencoder, generator: torch.Generator
) -> Int[Tensor, "seed example head"]:
    """The codes in `reading_of`, in `[0, config.codebook)`.

    Silence is filed under code 0 as in the paper, unless the settings give it a code of its own.
    """
    reading = reading_of(data, config, generator)
    return reading.told_apart() if config.silent_code else reading.codes


def unique_codes(
    data: HeadData, config: Autoencoder, generator: torch.Generator
) -> Int[Tensor, "seed head"]:
    """Codes unique to clean examples, by each dictionary of the ensemble."""
    return _unique(codes_of(data, config, generator), data, config.codebook)


def _unique(
    codes: Int[Tensor, "seed example head"], data: HeadData, n_codes: int
) -> Int[Tensor, "seed head"]:
    return torch.stack(
        [counting.codes_unique_to_clean(seed, data.is_clean, n_codes=n_codes) for seed in codes]
    )


def _fitting(data: HeadData, config: Autoencoder) -> Autoencoder:
    """The settings, with no more training examples than there are; silence makes no difference."""
    n_train = min(config.n_train_examples, len(data.z))
    return replace(config, n_train_examples=n_train, silent_code=False)


@head_score(
    "Discrete SAE",
    "Codes of a small sparse autoencoder that the head uses on clean prompts and never on corrupt",
    source="O'Neill and Bui 2024, node score",
    draws="codes",
    ensemble=True,
)
def discrete_sae(data: HeadData, generator: torch.Generator) -> Int[Tensor, "seed head"]:
    """The method's node score by each dictionary: unique codes."""
    return unique_codes(data, data.autoencoder, generator)


@head_score(
    "Discrete SAE, pairs",
    "How often the head stands among the pairs of heads with most code pairs unique to clean",
    source="O'Neill and Bui 2024, edge score",
    draws="codes",
    ensemble=True,
)
def discrete_sae_edges(data: HeadData, generator: torch.Generator) -> Int[Tensor, "seed head"]:
    """The method's edge score, which scores heads, by each dictionary: leading pairs."""
    counts = []
    for codes in codes_of(data, data.autoencoder, generator):
        pairs = pairs_unique_to_clean(codes, data.is_clean, n_codes=data.autoencoder.codebook)
        counts.append(edge_counts(pairs.unique))
    return torch.stack(counts)


@head_score(
    "Change and answer",
    "Share of the stream that the head changes alike in all pairs, and of the answer directly",
    source="needlepoint: activations and, where they were read, weights of the unembedding",
)
def change_and_answer(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Consistent change and direct effect on the answer, each as a share; no codes."""
    return rankings.change_and_answer(data)


@head_score(
    "Consistent change",
    "What the head changes alike in all pairs, beside the residual stream where that was read",
    source="needlepoint: activations only",
)
def consistent_change(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Change from clean to corrupt that random signs would not give; no codes."""
    return rankings.consistent_change(data)


@head_score(
    "Calibrated codes",
    "What pairs that say the same code change alike, beside the residual stream if it was read",
    source="needlepoint: discrete autoencoder of the changes at each position, cross-fitted",
    draws="paired codes",
    test=change_test,
)
def calibrated_sae(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """The calibrated mode of discrete codes: consistent change within codes."""
    return rankings.code_change(data, generator)


@score_of_test(
    "Code information",
    "What the head's codes tell of clean or corrupt, in deviations of what exchanged labels give",
    source="needlepoint: mutual information of code and label, cross-fitted, held against its null",
    draws="calibrated codes",
    of_test=deviation,
)
def code_information(data: HeadData, generator: torch.Generator) -> HeadTest:
    """Deviation of the mutual information, of which G is a multiple in each fold."""
    return code_test("mutual_information")(data, generator)


@score_of_test(
    "Code variation",
    "Share of codes that differ between clean and corrupt, in deviations of its null",
    source="needlepoint: total variation distance, cross-fitted, held against its null",
    draws="calibrated codes",
    of_test=deviation,
)
def code_variation(data: HeadData, generator: torch.Generator) -> HeadTest:
    """Deviation of the total variation distance between the codes of the classes."""
    return code_test("total_variation")(data, generator)


@score_of_test(
    "Calibrated count",
    "Codes on clean prompts and never on corrupt, in deviations of what exchanged labels give",
    source="O'Neill and Bui 2024, node score; needlepoint: cross-fitted, held against its null",
    draws="calibrated codes",
    of_test=deviation,
)
def calibrated_count(data: HeadData, generator: torch.Generator) -> HeadTest:
    """Deviation of the published count, so that a head gains nothing by having many codes."""
    return code_test("unique_codes")(data, generator)


@score_of_test(
    "Code mean shift",
    "How far clean and corrupt lie apart in what the codes stand for, in deviations of its null",
    source="needlepoint: codes weighed by their centroids, cross-fitted, held against its null",
    draws="calibrated codes",
    of_test=deviation,
)
def code_mean_shift(data: HeadData, generator: torch.Generator) -> HeadTest:
    """Deviation of the distance between the class means of the codes' centroids."""
    return code_test("mean_shift")(data, generator)


@score_of_test(
    "Code log-loss",
    "Nats by which the head's codes improve a held-out guess of clean or corrupt",
    source="needlepoint: codes cross-fitted, their tables held out once more",
    draws="calibrated codes",
    of_test=as_observed,
)
def code_log_loss(data: HeadData, generator: torch.Generator) -> HeadTest:
    """Held-out gain in nats per example; below 0 where codes mislead."""
    return code_test("log_loss_gain")(data, generator)


@score_of_test(
    "Code energy",
    "Energy that codes of paired changes explain of the changes less of their mirrors, per pair",
    source="needlepoint: discrete autoencoder of paired differences, cross-fitted",
    draws="codes of differences",
    of_test=as_observed,
)
def code_energy(data: HeadData, generator: torch.Generator) -> HeadTest:
    """Consistent energy of the codes of changes of the mean over positions."""
    return paired_test(data, generator)


@head_score(
    "Mean difference",
    "Distance between what the head writes on average on clean and on corrupt prompts",
    source="baseline",
)
def mean_difference(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Norm of the difference of the class means."""
    return baselines.mean_difference(data.clean, data.corrupt)


@head_score(
    "Effect size",
    "Mean difference divided by the spread within the classes",
    source="baseline",
)
def effect_size(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Difference of the class means in units of the spread within them."""
    return baselines.effect_size(data.clean, data.corrupt)


@head_score(
    "Linear probe",
    "Held-out accuracy of a linear probe that tells clean from corrupt by this head alone",
    source="baseline",
    draws="folds",
)
def linear_probe(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Accuracy of a ridge probe, five folds, pairs and groups kept together."""
    groups = torch.arange(data.n_pairs) if data.group_of is None else data.group_of
    folds = baselines.grouped_folds(groups, n_folds=N_FOLDS, generator=generator)
    return baselines.linear_probe_accuracy(
        data.clean, data.corrupt, fold_of=folds.to(data.z.device)
    )


@head_score(
    "Paired difference",
    "Mean distance between what the head writes on a clean prompt and on its own counterpart",
    source="needlepoint",
)
def paired_difference(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Mean norm of the paired differences."""
    return baselines.paired_difference(data.clean, data.corrupt)


@head_score(
    "Paired direction",
    "Size of the paired differences along the one direction that has most of them",
    source="needlepoint",
)
def paired_singular_value(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Largest singular value of the paired differences, per root of the number of pairs."""
    return baselines.paired_singular_value(data.clean, data.corrupt)


@head_score(
    "Untrained codes",
    "The discrete SAE's count with an encoder that has learned nothing",
    source="control",
    control=True,
    draws="codes",
    ensemble=True,
)
def untrained_codes(data: HeadData, generator: torch.Generator) -> Int[Tensor, "seed head"]:
    """Unique codes of the initial weights of each encoder."""
    return unique_codes(data, replace(data.autoencoder, n_steps=0), generator)


@head_score(
    "k-means codes",
    "The same count with as many centres of k-means in the place of the codes",
    source="control",
    control=True,
    draws="codes",
)
def kmeans_codes(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Unique centres, trained on the very vectors that the autoencoder is trained on."""
    config = _fitting(data, data.autoencoder)
    vectors = config.training_vectors(data.z, data.W_O, generator)
    centres = kmeans_centres(vectors, config.n_codes, generator)
    nearest = nearest_centres(centres, data.z, data.W_O)
    return _unique(nearest, data, config.n_codes).double().mean(0)


@head_score(
    "Distinct codes",
    "Number of different codes the head uses on all prompts, whatever their class",
    source="control",
    uses_labels=False,
    control=True,
    draws="codes",
    ensemble=True,
)
def distinct_codes(data: HeadData, generator: torch.Generator) -> Int[Tensor, "seed head"]:
    """Different codes by each dictionary: what the unique-code count is confounded with."""
    counts = [
        counting.distinct_codes(codes, n_codes=data.autoencoder.codebook)
        for codes in codes_of(data, data.autoencoder, generator)
    ]
    return torch.stack(counts)


@head_score(
    "Output norm",
    "Mean norm of what the head writes, on all prompts",
    source="control",
    uses_labels=False,
    control=True,
)
def output_norm(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Mean norm of the outputs."""
    return baselines.output_norm(data.clean, data.corrupt)


@head_score(
    "Layer",
    "Index of the head's layer: later heads first",
    source="control",
    uses_labels=False,
    control=True,
)
def layer_index(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """The layer, counted from 0."""
    return data.layer_of.double()


@head_score(
    "Random",
    "A random order of the heads",
    source="control",
    uses_labels=False,
    control=True,
    draws="order",
)
def random(data: HeadData, generator: torch.Generator) -> Float[Tensor, " head"]:
    """Uniform random numbers."""
    return torch.rand(data.n_heads, generator=generator, device=generator.device)
