"""Shapes in signatures are checked while tests run, of functions inside functions too."""

from __future__ import annotations

import os

import jaxtyping
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint.evaluation.truth import nested_circuits

pytestmark = pytest.mark.skipif(
    os.environ.get("NEEDLEPOINT_CHECK_SHAPES", "1") != "1", reason="shapes are not checked"
)


def _typechecker():
    return next(iter(jaxtyping._import_hook.Typechecker.lookup.values()))


def test_a_wrong_shape_or_type_trips() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="ranking"):
        nested_circuits(torch.zeros(2, 2).long(), [1])
    with pytest.raises(jaxtyping.TypeCheckError, match="ranking"):
        nested_circuits(torch.zeros(2), [1])


def test_functions_inside_are_wrapped_where_they_name_a_shape_alone() -> None:
    def shaped(x: Float[Tensor, "pair"]) -> Tensor:
        return x

    def plain(x: Tensor) -> Tensor:
        return x

    wrapped = jaxtyping.jaxtyped(typechecker=_typechecker())
    with pytest.raises(jaxtyping.TypeCheckError):
        wrapped(shaped)(torch.zeros(1, 1))
    assert wrapped(plain) is plain
    assert wrapped(_typechecker) is not _typechecker
