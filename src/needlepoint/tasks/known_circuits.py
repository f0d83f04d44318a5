"""Circuits that were published for one model each, as facts to compare with.

They are not true of any other model. Where lists of the same circuit differ, each is kept under
the name of its variant, and none is corrected.
"""

from __future__ import annotations

from needlepoint.tasks.task import Head, KnownCircuit

_SAE_CODE = "code of O'Neill and Bui 2024 (arXiv 2405.12522)"
_ACDC_CODE = "code of ACDC (Conmy et al. 2023, arXiv 2304.14997)"


def _ioi(variant: str, copied_from: str, backup: Head) -> KnownCircuit:
    """The 26 heads, of which one backup name mover is disputed."""
    backups = (backup, (9, 7), (10, 1), (10, 2), (10, 6), (10, 10), (11, 2), (11, 9))
    return KnownCircuit(
        model="openai-community/gpt2",
        source=f"Wang et al. 2022 (arXiv 2211.00593), as listed in the {copied_from}",
        variant=variant,
        roles={
            "previous token": ((2, 2), (4, 11)),
            "duplicate token": ((0, 1), (0, 10), (3, 0)),
            "induction": ((5, 5), (5, 8), (5, 9), (6, 9)),
            "S-inhibition": ((7, 3), (7, 9), (8, 6), (8, 10)),
            "name mover": ((9, 6), (9, 9), (10, 0)),
            "negative name mover": ((10, 7), (11, 10)),
            "backup name mover": tuple(sorted(backups)),
        },
        disputes=(
            f"One backup name mover differs between lists: the {_ACDC_CODE} has (9, 0), the "
            f"{_SAE_CODE} has (11, 3) in its place.",
        ),
    )


IOI = (_ioi("wang", _ACDC_CODE, (9, 0)), _ioi("paper", _SAE_CODE, (11, 3)))
"""Indirect object identification in GPT-2 small: two lists of 26 heads."""

GREATER_THAN = (
    KnownCircuit(
        model="openai-community/gpt2",
        source=f"Hanna et al. 2023 (arXiv 2305.00586), as listed in the {_ACDC_CODE}",
        roles={
            "layer 0, read by the later heads": ((0, 1), (0, 3), (0, 5)),
            "later heads": ((5, 5), (6, 1), (6, 9), (7, 10), (8, 11), (9, 1)),
        },
        mlps=(0, 1, 2, 3, 8, 9, 10, 11),
        disputes=(f"The {_SAE_CODE} lists the nine heads alone, without the MLPs.",),
    ),
)
"""Greater-than in GPT-2 small: nine heads and eight MLPs."""


def _docstring(variant: str, copied_from: str, disputed: Head) -> KnownCircuit:
    """The six heads, of which one of layer 1 is disputed."""
    return KnownCircuit(
        model="NeelNanda/Attn_Only_4L512W_C4_Code",
        source="Heimersheim and Janiak 2023, A circuit for Python docstrings in a 4-layer "
        f"attention-only transformer (attn-only-4l), as listed in the {copied_from}",
        variant=variant,
        roles={"circuit": tuple(sorted(((0, 5), disputed, (1, 4), (2, 0), (3, 0), (3, 6))))},
        disputes=(
            f"One head of layer 1 differs between lists: the {_ACDC_CODE} has (1, 2), the "
            f"{_SAE_CODE} has (1, 0) in its place.",
        ),
    )


DOCSTRING = (
    _docstring("reference", _ACDC_CODE, (1, 2)),
    _docstring("paper", _SAE_CODE, (1, 0)),
)
"""Docstring completion in a 4-layer attention-only model: two lists of six heads."""

INDUCTION = (
    KnownCircuit(
        model="callummcdougall/attn_only_2L_half",
        source=f"{_SAE_CODE}, for a 2-layer attention-only model",
        roles={"circuit": ((0, 4), (0, 7), (1, 4), (1, 10))},
        disputes=(
            "The same code stores these four heads with three 12-layer models too, of which "
            "they are not true.",
        ),
    ),
)
"""Induction in a 2-layer attention-only model: four heads, whose roles the source does not say."""
