"""What is asked of a live model and what it answers, as plain values that need no tensor library.

The web application knows a model only by these, and by the two protocols at the end: whatever
answers them can stand behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

EditKind = Literal["zero", "mean", "scale", "corrupt"]
MOST_SITES = 16
"""Neurons and heads that one question can be about, and edits that it can make."""
MOST_TOKENS = 512
"""Longer texts are refused: a pattern has as many numbers as the square of this."""
TOP = 10
"""Next tokens that are shown."""


@dataclass(frozen=True)
class SiteEdit:
    """A neuron or a head that is given another output than its own."""

    site: str
    """`L12.N345` or `L3.H5`."""
    kind: EditKind = "zero"
    """By 0, by its mean over this text, by a multiple of itself, or by its corrupt value."""
    factor: float = 0.0
    """What it is multiplied by, if it is scaled."""


@dataclass(frozen=True)
class Contrast:
    """What the text is held against: a corrupt prompt, and right and wrong next tokens."""

    corrupt: str
    answer: tuple[str, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class TextQuestion:
    """Everything that one look at a text asks, answered together."""

    text: str
    sites: tuple[str, ...] = ()
    """Neurons and heads to show, each as `L12.N345` or `L3.H5`."""
    position: int | None = None
    """Token after which to predict, counted with any first token; the last unless given."""
    edits: tuple[SiteEdit, ...] = ()
    contrast: Contrast | None = None
    codebook: str = ""
    """Name of a task whose discrete dictionary reads the heads; none if empty."""


@dataclass(frozen=True)
class NeuronTrace:
    """One neuron over a text."""

    site: str
    activations: list[float]
    edited: list[float] | None
    """The same where the edits hold; None if nothing was edited."""


@dataclass(frozen=True)
class HeadTrace:
    """One head over a text."""

    site: str
    pattern: list[list[float]]
    """A row for each query, with the weight of each key up to it."""
    kv_head: int
    """The head of keys and values that it reads, which other heads may share."""
    codes: list[int | None] | None
    """The code of its output at each token, None where it is silent; None without a codebook."""
    clean_codes: list[int] | None
    """Codes that it used on clean prompts of the codebook's task and on no corrupt one."""


@dataclass(frozen=True)
class NextToken:
    """One possible next token."""

    token: str
    id: int
    before: float
    """Its probability."""
    after: float | None
    """Its probability with the edits; None if nothing was edited."""


@dataclass(frozen=True)
class Measured:
    """The behaviour's metric on this text."""

    name: str
    unit: str
    clean: float
    corrupt: float
    after: float | None
    """On the text with the edits; None if nothing was edited."""


@dataclass(frozen=True)
class TextAnswer:
    """What one look at a text shows."""

    tokens: list[str]
    prefix: int
    """First tokens that the model wanted and the text does not have."""
    position: int
    neurons: list[NeuronTrace]
    heads: list[HeadTrace]
    likely: list[NextToken]
    """The most likely next tokens, before the edits and after them."""
    divergence: float | None
    """KL divergence of the prediction after the edits from the one before, in nats."""
    measured: Measured | None
    milliseconds: float


@dataclass(frozen=True)
class SiteCard:
    """A neuron or head that the model has."""

    site: str
    kind: Literal["neuron", "head"]
    model: str
    command: str
    """The command that describes a neuron; empty for a head."""


@dataclass(frozen=True)
class CodebookCard:
    """A discrete dictionary that has been fitted, in a few words."""

    task: str
    n_codes: int
    n_prompts: int
    seconds: float


@runtime_checkable
class LiveService(Protocol):
    """A loaded model that answers questions; one at a time, whoever asks."""

    @property
    def source(self) -> str:
        """What the model was asked for as."""
        ...

    def card(self) -> Mapping[str, Any]:
        """What the model is."""
        ...

    def answer(self, question: TextQuestion) -> TextAnswer:
        """Look at a text."""
        ...

    def site(self, name: str) -> SiteCard:
        """A neuron or head by its name, if the model has it."""
        ...

    def example(self, task: str, number: int) -> tuple[str, Contrast]:
        """A prompt of a built-in task, and what it is held against."""
        ...

    def fit_codebook(self, task: str) -> CodebookCard:
        """Fit a discrete dictionary on the prompts of a built-in task, to read heads by."""
        ...


JobState = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class JobRequest:
    """A study to be made of pasted text."""

    kind: Literal["probe", "circuit"]
    name: str
    """What the question is called."""
    content: str
    """A CSV table of labelled text, or JSON lines of prompt pairs."""
    thorough: bool = False
    """Whether to take the settings of the command; else smaller ones, for a first look."""


@dataclass(frozen=True)
class JobView:
    """How a study stands."""

    id: str
    kind: str
    name: str
    state: JobState
    step: str
    """What it is doing, in a word or two."""
    done: int
    total: int
    """Of the step; 0 where it is not known."""
    seconds: float
    message: str
    """Why it failed, as one sentence; empty otherwise."""
    run: str
    """Folder of the run, when it is done."""


@runtime_checkable
class JobService(Protocol):
    """Studies that run beside the application."""

    def prepare(self) -> None:
        """Get ready for one, as somebody is about to ask for it."""
        ...

    def start(self, request: JobRequest) -> JobView:
        """Begin a study."""
        ...

    def cancel(self, job: str) -> JobView:
        """Stop one; nothing of it is kept."""
        ...

    def jobs(self) -> Sequence[JobView]:
        """All of them, the newest first."""
        ...

    def close(self) -> None:
        """Stop those that still run."""
        ...
