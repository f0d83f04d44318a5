"""What each case study is asked: one frozen dataclass is the call, the command and the record."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, fields

from needlepoint._core.errors import DataError, unknown_name
from needlepoint.evaluation.configs import require

FOLDS = ("folded", "centred", "raw")
DTYPES = ("float32", "bfloat16", "float16")
UNTRAINED = "untrained:"
"""In front of the name of a model: the same model with random weights."""


@dataclass(frozen=True)
class SuperpositionConfig:
    """How to look for a few neurons of early layers whose sum tells a compound word.

    Raises:
        DataError: If a number is too small to be used, or the layers cannot be read.
    """

    word: str = ""
    """A compound of the collection compound_words; the one that occurs most unless given."""
    layers: str = ""
    """Layers to search, such as 0-6 or 1,2,3; the first seven unless given."""
    examples: int = 150
    """Windows that end in the compound; four times as many end in one of its words alone."""
    k: int = 5
    """Neurons to add up."""
    bases: int = 5
    """Random bases to compare the neurons with."""
    random_sums: int = 200
    """Sums of random neurons to compare the sum with."""
    shuffles: int = 40
    """Searches on shuffled labels; fewer than 19 could not show p = 0.05."""
    rounds: int = 10
    """Times that the best neuron is taken away and a probe fitted on the rest."""
    other_texts: int = 400
    """Windows of all compounds on which it is seen what else the neurons fire on."""
    source: str = ""
    """packages or hub, as the collection has it; its first unless given."""
    seed: int = 0
    """The one number that all randomness follows from."""

    @property
    def question(self) -> str:
        """What the cell is called if there is no record to say."""
        return self.word or "compound"

    def __post_init__(self) -> None:
        least = {"examples": 6, "k": 2, "bases": 1, "random_sums": 1, "shuffles": 19}
        require(self, {**least, "rounds": 1, "other_texts": 1})
        parse_layers(self.layers)


ALL = "all"
"""In place of names of compounds: every one that the collection has."""


@dataclass(frozen=True)
class CompoundsConfig(SuperpositionConfig):
    """How to look for such sums in several compounds, each asked as one of them is.

    Raises:
        DataError: If a number is too small, a compound is named twice, or `word` is given too.
    """

    compounds: tuple[str, ...] = (ALL,)
    """Compounds of the collection compound_words, or all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.word:
            raise DataError(f"word {self.word!r} and compounds are both given; give one of them.")
        if not self.compounds:
            raise DataError("no compound is named; give at least one, or 'all'.")
        twice = sorted({name for name in self.compounds if self.compounds.count(name) > 1})
        if twice:
            raise DataError(f"compound {twice[0]!r} is named twice; name each once.")
        if ALL in self.compounds and len(self.compounds) > 1:
            raise DataError("compounds are 'all' and others beside; give 'all' alone or names.")


def of_compounds(config: SuperpositionConfig, compounds: tuple[str, ...]) -> CompoundsConfig:
    """The same settings for several compounds.

    Raises:
        DataError: As `CompoundsConfig`.

    Example:
        >>> of_compounds(SuperpositionConfig(k=3), ("all",)).k
        3
    """
    given = {one.name: getattr(config, one.name) for one in fields(config)}
    return CompoundsConfig(**given, compounds=compounds)


@dataclass(frozen=True)
class ContextConfig:
    """How to look for neurons that are active throughout texts of one kind.

    Raises:
        DataError: If a number is too small to be used.
    """

    features: str = "natural_language"
    """A collection of whole texts, or a table of labelled text."""
    examples: int = 24
    """Texts of each class, for built-in collections."""
    tokens: int = 0
    """Length of a text in tokens, for built-in collections; the collection's own if 0."""
    source: str = ""
    """Where a built-in collection comes from: packages, hub or a path; its first unless given."""
    permutations: int = 200
    """Shuffles of the labels for the null distribution; 20 for each class are drawn at least."""
    ablate_classes: int = 3
    """Classes whose neuron is switched off, those a single token tells best; all of them if 0."""
    ablate_texts: int = 4
    """Test texts of each class on which neurons are switched off."""
    random_neurons: int = 3
    """Random neurons that write as much, to compare each with."""
    effects: int = 8
    """Next tokens shown whose loss rises most, for each neuron."""
    seed: int = 0
    """The one number that all randomness follows from."""

    def __post_init__(self) -> None:
        least = {"examples": 6, "tokens": 4 if self.tokens else 0, "permutations": 1}
        ablation = {"ablate_classes": 0, "ablate_texts": 2, "random_neurons": 1, "effects": 1}
        require(self, {**least, **ablation})


@dataclass(frozen=True)
class WeightsConfig:
    """How to read the weights of neurons by depth.

    Raises:
        UnknownNameError: If there is no such way to fold.
    """

    fold: str = "folded"
    """Whether the norm before the MLP is folded into its weights: folded, centred or raw."""
    seed: int = 0
    """Seed of the weights of the untrained copy that stands beside the model."""

    @property
    def question(self) -> str:
        """What the cell is called."""
        return "depth"

    def __post_init__(self) -> None:
        if self.fold not in FOLDS:
            raise unknown_name("way to fold", self.fold, FOLDS)


@dataclass(frozen=True)
class ScalingConfig:
    """How to ask the same features of several models.

    Raises:
        DataError: If a number is too small to be used, or a model or collection is named twice.
    """

    models: tuple[str, ...] = field(default=("smollm2",), metadata={"positional": True})
    """Models as for --model; 'untrained:NAME' is the same model with random weights."""
    _: KW_ONLY
    features: tuple[str, ...] = ("programming_language",)
    """Collections, or tables of labelled text."""
    examples: int = 40
    """Texts for each feature, for built-in collections."""
    tokens: int = 0
    """Length of a text in tokens, for built-in collections; the collection's own if 0."""
    max_k: int = 64
    """Most neurons that one probe reads."""
    draws: int = 2
    """Random sets of neurons of equal number that sparse probes are fitted on."""
    dtype: str = "float32"
    """Precision of all models: float32, bfloat16 or float16."""
    seed: int = 0
    """The one number that all randomness follows from."""

    def __post_init__(self) -> None:
        least = {"examples": 6, "tokens": 4 if self.tokens else 0, "max_k": 1, "draws": 1}
        require(self, least)
        for what, names in (("model", self.models), ("collection", self.features)):
            if not names:
                raise DataError(f"no {what} is named; give at least one.")
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise DataError(f"{what} {twice[0]!r} is named twice; name each once.")
        if self.dtype not in DTYPES:
            raise unknown_name("dtype", self.dtype, DTYPES)


def parse_layers(text: str) -> tuple[int, ...]:
    """Numbers of layers from words such as `0-6` or `1,2,3`; none from nothing.

    Raises:
        DataError: If the words are not that.

    Example:
        >>> parse_layers("0-2,5")
        (0, 1, 2, 5)
    """
    found: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        ends = [end.strip() for end in part.split("-")]
        if (
            len(ends) > 2
            or not all(end.isdecimal() for end in ends)
            or int(ends[0]) > int(ends[-1])
        ):
            raise DataError(f"layers are {text!r}; give them as in 0-6 or 1,2,3.")
        found.update(range(int(ends[0]), int(ends[-1]) + 1))
    return tuple(sorted(found))
