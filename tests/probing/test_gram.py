import pytest
import torch

from needlepoint.probing.gram import against, along, weighted_gram


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
