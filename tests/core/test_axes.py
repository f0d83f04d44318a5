"""Every shape in the package is spelled with the words of the glossary, and every word is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import needlepoint
from needlepoint._core.axes import AXES

ROOT = Path(needlepoint.__file__).parent
KINDS = {"Bool", "Complex", "Float", "Inexact", "Int", "Integer", "Num", "Real", "Shaped", "UInt"}
NO_NAME = {"...", "_"}


def shapes(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every shape, in `Float[Tensor, "example head"]` and the like."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Tuple):
            continue
        kind = node.value
        name = kind.id if isinstance(kind, ast.Name) else getattr(kind, "attr", "")
        last = node.slice.elts[-1]
        if name in KINDS and isinstance(last, ast.Constant) and isinstance(last.value, str):
            yield node.lineno, last.value


def names(shape: str) -> Iterator[str]:
    """The names in a shape, without the marks that jaxtyping puts before them."""
    for axis in shape.split():
        name = axis.lstrip("*#?_")
        if axis not in NO_NAME and not name.isdecimal():
            yield name


def unknown(source: str) -> list[tuple[int, str]]:
    found = [(line, name) for line, shape in shapes(source) for name in names(shape)]
    return [(line, name) for line, name in found if name not in AXES]


def test_shapes_use_the_words_of_the_glossary_only() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}": name
        for path in sorted(ROOT.rglob("*.py"))
        for line, name in unknown(path.read_text(encoding="utf-8"))
    }
    assert found == {}


def test_every_word_of_the_glossary_is_used() -> None:
    sources = [path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")]
    used = {name for source in sources for _, shape in shapes(source) for name in names(shape)}
    assert len(used) > 10
    assert set(AXES) - used == set()


def test_a_shape_in_other_words_is_seen() -> None:
    source = """
def score(x: Float[Tensor, "example head 3"], *, n: int) -> jaxtyping.Int[Tensor, " heads"]:
    y: Bool[np.ndarray[Any, Any], "... *batch #unit _ prompt"] | None = None
"""
    assert unknown(source) == [(2, "heads"), (3, "prompt")]


def test_each_word_says_what_it_means() -> None:
    for name, meaning in AXES.items():
        assert name.isidentifier()
        assert meaning
        assert not meaning.endswith(".")
    assert len(set(AXES.values())) == len(AXES)
