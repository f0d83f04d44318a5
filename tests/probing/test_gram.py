import pytest
import torch

from needlepoint.probing.gram import against, along, can_be_rough, rough_gram, weighted_gram


@pytest.mark.parametrize("width", [1, 63, 64, 65, 200])
def test_products_of_a_batch_are_those_of_each_matrix(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    X = torch.randn(3, width, 50, generator=generator, dtype=torch.float64)
    weight = torch.rand(3, 50, generator=generator, dtype=torch.float64)
    point = torch.randn(3, width, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(along(X, point), torch.einsum("fwn,fw->fn", X, point))
    torch.testing.assert_close(against(X, weight), torch.einsum("fwn,fn->fw", X, weight))
    expected = torch.einsum("fwn,fn,fvn->fwv", X, weight, X)
    torch.testing.assert_close(weighted_gram(X, weight), expected)


@pytest.mark.parametrize("width", [1, 64, 65, 200])
def test_a_rough_product_is_right_to_bfloat16(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    X = torch.randn(2, width, 500, generator=generator)
    weight = torch.rand(2, 500, generator=generator)
    exact = weighted_gram(X.double(), weight.double())
    sizes = exact.diagonal(dim1=1, dim2=2).sqrt()
    off = (rough_gram(X, weight) - exact) / (sizes[:, :, None] * sizes[:, None, :])
    assert float(off.abs().max()) < 2**-7
    assert not can_be_rough(X.double())
    assert not can_be_rough(X[:, :64])
