"""Circuits that were published for one model each, as facts to compare with.

They are not true of any other model. Where lists of the same circuit differ, each is kept under
the name of its variant, and none is corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from needlepoint._core.errors import unknown_name
from needlepoint.tasks.task import Head, KnownCircuit, NodeEdge

GPT2 = "openai-community/gpt2"
ATTN_ONLY_4L = "NeelNanda/Attn_Only_4L512W_C4_Code"
ATTN_ONLY_2L = "callummcdougall/attn_only_2L_half"
ALIASES: Mapping[str, tuple[str, ...]] = {
    GPT2: ("gpt2", "gpt2-small"),
    ATTN_ONLY_4L: ("attn-only-4l", "Attn_Only_4L512W_C4_Code"),
    ATTN_ONLY_2L: ("attn_only_2L_half",),
}
"""Other names under which the models are known."""
SHAPES: Mapping[str, tuple[int, int]] = {
    GPT2: (12, 12),
    ATTN_ONLY_4L: (4, 8),
    ATTN_ONLY_2L: (2, 12),
}
"""Layers of each, and heads in each layer."""

_SAE_CODE = "code of O'Neill and Bui 2024 (arXiv 2405.12522)"
_ACDC_CODE = "code of ACDC (Conmy et al. 2023, arXiv 2304.14997)"


def _name(layer: int, head: int | None) -> str:
    return f"L{layer}.mlp" if head is None else f"L{layer}.H{head}"


def _each_to_each(
    sources: Sequence[tuple[int, int | None]],
    targets: Sequence[tuple[int, int | None]],
    inputs: str = "qkv",
) -> tuple[NodeEdge, ...]:
    """From every node to every later one; an MLP comes after the heads of its layer."""
    return tuple(
        NodeEdge(_name(*source), _name(*target), inputs if target[1] is not None else "")
        for source in sources
        for target in targets
        if source[0] < target[0]
        or (source[0] == target[0] and source[1] is not None and target[1] is None)
    )


def _ioi(variant: str, copied_from: str, backup: Head) -> KnownCircuit:
    """The 26 heads, of which one backup name mover is disputed."""
    backups = (backup, (9, 7), (10, 1), (10, 2), (10, 6), (10, 10), (11, 2), (11, 9))
    roles: dict[str, tuple[Head, ...]] = {
        "previous token": ((2, 2), (4, 11)),
        "duplicate token": ((0, 1), (0, 10), (3, 0)),
        "induction": ((5, 5), (5, 8), (5, 9), (6, 9)),
        "S-inhibition": ((7, 3), (7, 9), (8, 6), (8, 10)),
        "name mover": ((9, 6), (9, 9), (10, 0)),
        "negative name mover": ((10, 7), (11, 10)),
        "backup name mover": tuple(sorted(backups)),
    }
    return KnownCircuit(
        model=GPT2,
        source=f"Wang et al. 2022 (arXiv 2211.00593), as listed in the {copied_from}",
        variant=variant,
        roles=roles,
        disputes=(
            f"One backup name mover differs between lists: the {_ACDC_CODE} has (9, 0), the "
            f"{_SAE_CODE} has (11, 3) in its place.",
        ),
        shape=SHAPES[GPT2],
        edges=tuple(
            edge
            for source, target, inputs in _IOI_PATHS
            for edge in _each_to_each(roles[source], roles[target], inputs)
        ),
    )


_IOI_PATHS = (
    ("previous token", "induction", "kv"),
    ("induction", "S-inhibition", "kv"),
    ("duplicate token", "S-inhibition", "kv"),
    ("S-inhibition", "negative name mover", "q"),
    ("S-inhibition", "name mover", "q"),
    ("S-inhibition", "backup name mover", "q"),
)
"""Which group reads which, by which inputs; paths that end in the embedding or the logits, and
those through MLPs, are left out."""

IOI = (_ioi("wang", _ACDC_CODE, (9, 0)), _ioi("paper", _SAE_CODE, (11, 3)))
"""Indirect object identification in GPT-2 small: two lists of 26 heads."""

_ONE: tuple[Head, ...] = ((0, 1),)
_THREE_FIVE: tuple[Head, ...] = ((0, 3), (0, 5))
_LATER: tuple[Head, ...] = ((5, 5), (6, 1), (6, 9), (7, 10), (8, 11), (9, 1))
_EARLY_MLPS = tuple((layer, None) for layer in range(4))
_LATE_MLPS = tuple((layer, None) for layer in range(8, 12))

GREATER_THAN = (
    KnownCircuit(
        model=GPT2,
        source=f"Hanna et al. 2023 (arXiv 2305.00586), as listed in the {_ACDC_CODE}",
        roles={
            "layer 0, read by the later heads": (*_ONE, *_THREE_FIVE),
            "later heads": _LATER,
        },
        mlps=(0, 1, 2, 3, 8, 9, 10, 11),
        disputes=(
            f"The {_SAE_CODE} lists the nine heads alone, without the MLPs.",
            f"The {_ACDC_CODE} also lets every MLP below a later head into its query, and "
            "connects all MLPs below layer 9 with one another; those edges are left out here.",
            f"An earlier state of the {_ACDC_CODE} lists the later heads without (6, 9).",
        ),
        shape=SHAPES[GPT2],
        edges=(
            *(
                NodeEdge("embed", _name(*node), "" if node[1] is None else "qkv")
                for node in (*_ONE, *_THREE_FIVE, *_EARLY_MLPS)
            ),
            *_each_to_each(_ONE, _EARLY_MLPS),
            *_each_to_each((*_ONE, *_THREE_FIVE), _LATER),
            *_each_to_each(_EARLY_MLPS, _EARLY_MLPS),
            *_each_to_each(_EARLY_MLPS, _LATER),
            *_each_to_each(_LATER, _LATE_MLPS),
            *_each_to_each(_LATE_MLPS, _LATE_MLPS),
            *(NodeEdge(_name(*node), "logits", "") for node in (*_LATER, *_LATE_MLPS)),
        ),
    ),
)
"""Greater-than in GPT-2 small: nine heads and eight MLPs."""


_DOCSTRING_EDGES = tuple(
    NodeEdge(_name(*source), _name(*target))
    for source, targets in (
        ((0, 5), ((1, 2), (1, 4), (2, 0), (3, 0), (3, 6))),
        ((1, 4), ((2, 0), (3, 0), (3, 6))),
        ((1, 2), ((3, 0), (3, 6))),
        ((2, 0), ((3, 0), (3, 6))),
    )
    for target in targets
)


def _docstring(
    variant: str, copied_from: str, disputed: Head, edges: tuple[NodeEdge, ...] = ()
) -> KnownCircuit:
    """The six heads, of which one of layer 1 is disputed."""
    return KnownCircuit(
        model=ATTN_ONLY_4L,
        source="Heimersheim and Janiak 2023, A circuit for Python docstrings in a 4-layer "
        f"attention-only transformer (attn-only-4l), as listed in the {copied_from}",
        variant=variant,
        roles={"circuit": tuple(sorted(((0, 5), disputed, (1, 4), (2, 0), (3, 0), (3, 6))))},
        disputes=(
            f"One head of layer 1 differs between lists: the {_ACDC_CODE} has (1, 2), the "
            f"{_SAE_CODE} has (1, 0) in its place.",
        ),
        shape=SHAPES[ATTN_ONLY_4L],
        edges=edges,
    )


DOCSTRING = (
    _docstring("reference", _ACDC_CODE, (1, 2), _DOCSTRING_EDGES),
    _docstring("paper", _SAE_CODE, (1, 0)),
)
"""Docstring completion in a 4-layer attention-only model: two lists of six heads.

Edges were published for the first list only; by which inputs they go is not said here.
"""

INDUCTION = (
    KnownCircuit(
        model=ATTN_ONLY_2L,
        shape=SHAPES[ATTN_ONLY_2L],
        source=f"{_SAE_CODE}, for a 2-layer attention-only model",
        roles={"circuit": ((0, 4), (0, 7), (1, 4), (1, 10))},
        disputes=(
            "The same code stores these four heads with three 12-layer models too, of which "
            "they are not true.",
        ),
    ),
)
"""Induction in a 2-layer attention-only model: four heads, whose roles the source does not say."""

GENDERED_PRONOUN = (
    KnownCircuit(
        model=GPT2,
        source="O'Neill and Bui 2024 (arXiv 2405.12522), the notebook gendered_pronouns.ipynb "
        "of an early state of their repository",
        roles={"gendered pronoun": ((1, 4), (2, 6), (3, 4), (4, 3), (6, 0), (9, 7), (10, 9))},
        disputes=(
            "The notebook does not say where the list comes from; that it is the circuit of "
            "Mathwin et al. has not been verified.",
        ),
        shape=SHAPES[GPT2],
    ),
)
"""Gendered pronouns in GPT-2 small: seven heads."""

ACRONYM = (
    KnownCircuit(
        model=GPT2,
        source="García-Carrasco et al. 2024 (arXiv 2405.04156), the circuit of eight heads",
        roles={
            "letter mover": ((8, 11), (9, 9), (10, 10), (11, 4)),
            "previous token": ((1, 0), (2, 2), (4, 11)),
            "propagating": ((5, 8),),
        },
        disputes=(
            "The eight heads were found on words of two tokens each, for all three letters "
            "together; here the words are one token and only the third letter is asked.",
        ),
        shape=SHAPES[GPT2],
    ),
)
"""Acronyms of three letters in GPT-2 small: eight heads."""

SUCCESSOR = (
    KnownCircuit(
        model=GPT2,
        source="Lan et al. 2023 (arXiv 2311.04131), the part that numerals, number words and "
        "months share, as their notes on the experiments name it",
        roles={"sequence continuation": ((4, 4), (7, 11), (9, 1))},
        mlps=(9,),
        disputes=(
            "It is the part that several sequences share, not a whole circuit; days were not "
            "among them.",
        ),
        shape=SHAPES[GPT2],
    ),
)
"""Sequences in GPT-2 small: what several of them share, three heads and an MLP."""

PUBLISHED: Mapping[str, tuple[KnownCircuit, ...]] = {
    "ioi": IOI,
    "greater_than": GREATER_THAN,
    "docstring": DOCSTRING,
    "induction": INDUCTION,
    "gendered_pronoun": GENDERED_PRONOUN,
    "acronym": ACRONYM,
    "successor": SUCCESSOR,
}
"""The circuits by the task that they carry out."""


def known_circuits(task: str, model: str, variant: str = "") -> tuple[KnownCircuit, ...]:
    """What was published of a task's circuit in one model; empty where nothing was.

    A circuit of another model is never given: it says nothing about this one. Only the name is
    compared here, not the weights.

    Args:
        task: Name of a task.
        model: Name of the model: as on the hub, or one of `ALIASES`.
        variant: The list to give, where there are several; all unless given.

    Raises:
        UnknownNameError: If there are lists, and none of that variant.

    Example:
        >>> [(circuit.variant, len(circuit.heads)) for circuit in known_circuits("ioi", "gpt2")]
        [('wang', 26), ('paper', 26)]
        >>> known_circuits("ioi", "smollm2")
        ()
    """
    found = tuple(
        circuit
        for circuit in PUBLISHED.get(task, ())
        if model in (circuit.model, *ALIASES[circuit.model])
    )
    chosen = tuple(circuit for circuit in found if variant in ("", circuit.variant))
    if found and not chosen:
        raise unknown_name(f"variant of {task}", variant, [one.variant for one in found])
    return chosen
