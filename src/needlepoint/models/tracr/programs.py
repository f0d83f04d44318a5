"""RASP programs to compile: what each computes, and on which tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from needlepoint._core.registry import Registry
from needlepoint.models.tracr.library import Library

Value = str | int | float | bool | None
"""What stands at one position before, in and after a program."""


@dataclass(frozen=True)
class Program:
    """One program of the language RASP, and the inputs that it is compiled for."""

    name: str
    description: str
    """What it makes of a sequence, in a sentence."""
    vocabulary: tuple[str, ...] | tuple[int, ...]
    length: int
    """Tokens in an input, without the first one that the compiler adds."""
    build: Callable[[Library], Any]
    """The program itself; Tracr is imported only when it is wanted."""
    numerical: bool = False
    """Whether a position's output is a number, rather than one of a list of values."""
    unique: bool = False
    """Whether no token may occur twice in an input."""


PROGRAMS: Registry[Program] = Registry("Tracr program")
"""Programs of Tracr's own library, and one more of the RASP paper, with small vocabularies.

`length` is left out: its output is the same for all inputs of one length, so that it has no
corrupt prompts of equal length.
"""


def _add(program: Program) -> None:
    PROGRAMS.add(program.name)(program)


def _double_hist(tracr: Library) -> Any:
    hist = tracr.lib.make_hist().named("hist")
    same = tracr.rasp.Select(hist, hist, tracr.rasp.Comparison.EQ).named("same_count")
    return tracr.rasp.SelectorWidth(same).named("double_hist")


_add(
    Program(
        "reverse",
        "the sequence from its end to its beginning",
        ("a", "b", "c", "d"),
        5,
        lambda tracr: tracr.lib.make_reverse(tracr.rasp.tokens),
    )
)
_add(
    Program(
        "sort",
        "the tokens, which may be equal, in ascending order",
        (1, 2, 3, 4, 5),
        5,
        lambda tracr: tracr.lib.make_sort(
            tracr.rasp.tokens, tracr.rasp.tokens, max_seq_len=5, min_key=1
        ),
    )
)
_add(
    Program(
        "sort_unique",
        "the tokens, all different, in ascending order",
        (1, 2, 3, 4, 5, 6),
        5,
        lambda tracr: tracr.lib.make_sort_unique(tracr.rasp.tokens, tracr.rasp.tokens),
        unique=True,
    )
)
_add(
    Program(
        "sort_freq",
        "the tokens from the most to the least frequent",
        (1, 2, 3, 4),
        5,
        lambda tracr: tracr.lib.make_sort_freq(max_seq_len=5),
    )
)
_add(
    Program(
        "frac_prevs",
        "at each position, the share of x among the tokens so far",
        ("w", "x", "y", "z"),
        5,
        lambda tracr: tracr.lib.make_frac_prevs(tracr.rasp.tokens == "x"),
        numerical=True,
    )
)
_add(
    Program(
        "hist",
        "at each position, how often its token occurs",
        ("a", "b", "c", "d"),
        5,
        lambda tracr: tracr.lib.make_hist(),
    )
)
_add(
    Program(
        "double_hist",
        "at each position, how many positions have a token as frequent as its own",
        ("a", "b", "c", "d"),
        5,
        _double_hist,
    )
)
_add(
    Program(
        "pair_balance",
        "at each position, the share of opening less that of closing brackets so far",
        ("(", ")", "a"),
        5,
        lambda tracr: tracr.lib.make_pair_balance(tracr.rasp.tokens, "(", ")"),
        numerical=True,
    )
)
_add(
    Program(
        "dyck",
        "at every position, whether the brackets are balanced",
        ("(", ")"),
        6,
        lambda tracr: tracr.lib.make_shuffle_dyck(["()"]),
    )
)
_add(
    Program(
        "count",
        "at every position, how often a occurs",
        ("a", "b", "c"),
        5,
        lambda tracr: tracr.lib.make_count(tracr.rasp.tokens, "a"),
    )
)
_add(
    Program(
        "count_less_freq",
        "at every position, how many tokens occur at most twice",
        ("a", "b", "c"),
        5,
        lambda tracr: tracr.lib.make_count_less_freq(2),
    )
)
_add(
    Program(
        "shift",
        "the token two positions back",
        ("a", "b", "c", "d"),
        5,
        lambda tracr: tracr.lib.shift_by(2, tracr.rasp.tokens),
    )
)
_add(
    Program(
        "detect_pattern",
        "at each position, whether the token here and that before it are a b",
        ("a", "b", "c"),
        5,
        lambda tracr: tracr.lib.detect_pattern(tracr.rasp.tokens, "ab"),
    )
)
