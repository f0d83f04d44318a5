"""Every activation of the micro model on `one two three`, worked out on paper.

Write a residual vector as (a, b, c, d). Token t at position p starts as (t, p, 0, 1):

    position      0              1              2
    start      (1,0,0,1)      (2,1,0,1)      (3,2,0,1)

LAYER 0
Head 0 has no queries and no keys: all scores are 0, and it averages its values over the positions
so far. Its value is (2a, 2b): (2,0), (4,2), (6,4). The averages are
    z0            (2,0)          (3,1)          (4,2)
    for (6,4): ((2+4+6)/3, (0+2+4)/3) = (4,2).
Head 1 has query 30d = 30 and key -30b = -30p, so position j scores -900j / sqrt 2: the first
position leads by at least 636, and exp(-636) is 0. Its value is (a, d), at position 0 (1,1):
    z1            (1,1)          (1,1)          (1,1)
Head 0 writes (z0[1], 0, z0[0], 0), head 1 writes (0, z1[0], -z1[1], 2 z1[1]):
    head 0     (0,0,2,0)      (1,0,3,0)      (2,0,4,0)
    head 1     (0,1,-1,2)     (0,1,-1,2)     (0,1,-1,2)
The attention output is their sum and the bias (0,0,0,1):
    attention  (0,1,1,3)      (1,1,2,3)      (2,1,3,3)
    middle     (1,1,1,4)      (3,2,2,4)      (5,3,3,4)      start + attention
The neurons are the positive parts of a - d, of a + c - d + 1, and of b:
    before     (-3,-1,1)      (-1,2,2)       (1,5,3)
    neurons    (0,0,1)        (0,2,2)        (1,5,3)
The MLP writes (1 - n2, n0, n1, 0):
    MLP        (0,0,0,0)      (-1,0,2,0)     (-2,1,5,0)
    stream     (1,1,1,4)      (2,2,4,4)      (3,4,8,4)      middle + MLP

LAYER 1
Head 0 averages (2a, d): (2,4), (4,4), (6,4).
    z0            (2,4)          (3,4)          (4,4)
Head 1 has query 10d = 40 and key 10b = 10, 20, 40, so position j scores 400 b / sqrt 2: a position
always leads those before it by at least 282, and exp(-282) is 0. Its value is (b, c) of its own:
    z1            (1,1)          (2,4)          (4,8)
Head 0 writes (z0[0], 0, 0, -z0[1]), head 1 writes (0, z1[0], z1[1], 0); the bias is (1,0,0,0):
    head 0     (2,0,0,-4)     (3,0,0,-4)     (4,0,0,-4)
    head 1     (0,1,1,0)      (0,2,4,0)      (0,4,8,0)
    attention  (3,1,1,-4)     (4,2,4,-4)     (5,4,8,-4)
    middle     (4,2,2,0)      (6,4,8,0)      (8,8,16,0)
The neurons are the positive parts of a - b, of c - a, and of 5 - b:
    before     (2,-2,3)       (2,2,1)        (0,8,-3)
    neurons    (2,0,3)        (2,2,1)        (0,8,0)
The MLP writes (0, n0, -n1, n2):
    MLP        (0,2,0,3)      (0,2,-2,1)     (0,0,-8,0)
    stream     (4,4,2,3)      (6,6,6,1)      (8,8,8,0)

The logits are a + d, b - d, 2c, d, and a - c:
    logits     (7,1,4,3,2)    (7,5,12,1,0)   (8,8,16,0,0)
"""

import pytest
import torch

from needlepoint.models.check import check_model
from needlepoint.models.hooks import record, replace
from needlepoint.models.micro import micro_model
from needlepoint.models.sites import Site

PAPER = {
    "L0.resid.in": [[1, 0, 0, 1], [2, 1, 0, 1], [3, 2, 0, 1]],
    "L0.H0.z": [[2, 0], [3, 1], [4, 2]],
    "L0.H1.z": [[1, 1], [1, 1], [1, 1]],
    "L0.attn.z": [[[2, 0], [1, 1]], [[3, 1], [1, 1]], [[4, 2], [1, 1]]],
    "L0.H0.out": [[0, 0, 2, 0], [1, 0, 3, 0], [2, 0, 4, 0]],
    "L0.H1.out": [[0, 1, -1, 2], [0, 1, -1, 2], [0, 1, -1, 2]],
    "L0.attn.out": [[0, 1, 1, 3], [1, 1, 2, 3], [2, 1, 3, 3]],
    "L0.mlp.neurons": [[0, 0, 1], [0, 2, 2], [1, 5, 3]],
    "L0.N0": [0, 0, 1],
    "L0.N1": [0, 2, 5],
    "L0.N2": [1, 2, 3],
    "L0.mlp.out": [[0, 0, 0, 0], [-1, 0, 2, 0], [-2, 1, 5, 0]],
    "L0.resid": [[1, 1, 1, 4], [2, 2, 4, 4], [3, 4, 8, 4]],
    "L1.resid.in": [[1, 1, 1, 4], [2, 2, 4, 4], [3, 4, 8, 4]],
    "L1.H0.z": [[2, 4], [3, 4], [4, 4]],
    "L1.H1.z": [[1, 1], [2, 4], [4, 8]],
    "L1.attn.z": [[[2, 4], [1, 1]], [[3, 4], [2, 4]], [[4, 4], [4, 8]]],
    "L1.H0.out": [[2, 0, 0, -4], [3, 0, 0, -4], [4, 0, 0, -4]],
    "L1.H1.out": [[0, 1, 1, 0], [0, 2, 4, 0], [0, 4, 8, 0]],
    "L1.attn.out": [[3, 1, 1, -4], [4, 2, 4, -4], [5, 4, 8, -4]],
    "L1.mlp.neurons": [[2, 0, 3], [2, 2, 1], [0, 8, 0]],
    "L1.N0": [2, 2, 0],
    "L1.N1": [0, 2, 8],
    "L1.N2": [3, 1, 0],
    "L1.mlp.out": [[0, 2, 0, 3], [0, 2, -2, 1], [0, 0, -8, 0]],
    "L1.resid": [[4, 4, 2, 3], [6, 6, 6, 1], [8, 8, 8, 0]],
}
LOGITS = [[7, 1, 4, 3, 2], [7, 5, 12, 1, 0], [8, 8, 16, 0, 0]]


@pytest.fixture(scope="module")
def micro():
    return micro_model()


@pytest.fixture
def batch(micro):
    return micro.batch([micro.encoder.encode("one two three")])


@pytest.mark.parametrize("address", PAPER)
def test_an_activation_is_what_paper_says(micro, batch, address) -> None:
    with record(micro, [address]) as kept:
        micro.hidden(batch)
    expected = torch.tensor([PAPER[address]], dtype=torch.float32)
    torch.testing.assert_close(kept[Site.parse(address)], expected, rtol=0, atol=1e-5)


def test_the_logits_are_what_paper_says(micro, batch) -> None:
    expected = torch.tensor([LOGITS], dtype=torch.float32)
    torch.testing.assert_close(micro.logits(batch), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(micro.last_logits(batch), expected[:, -1], rtol=0, atol=1e-4)


def test_what_happens_without_a_head_is_what_paper_says(micro, batch) -> None:
    """Without head 0 of layer 1 the middle of the last position is (4, 8, 16, 4).

    Its neurons are then a - b = -4, c - a = 12 and 5 - b = -3, so (0, 12, 0); the MLP writes
    (0, 0, -12, 0), the stream is (4, 8, 4, 4) and the logits are (8, 4, 8, 4, 0).
    """
    with replace(micro, {"L1.H0.z": torch.zeros(2)}):
        found = micro.last_logits(batch)
    torch.testing.assert_close(found, torch.tensor([[8.0, 4, 8, 4, 0]]), rtol=0, atol=1e-4)


def test_it_is_small_named_and_read_rightly(micro) -> None:
    assert (micro.shape.n_layers, micro.shape.n_heads, micro.shape.d_head) == (2, 2, 2)
    assert (micro.name, micro.first_token, micro.family.name) == ("micro", None, "plain")
    assert all(check.passed for check in check_model(micro))
    weights = torch.cat([parameter.flatten() for parameter in micro.module.parameters()])
    assert torch.equal(weights, weights.round())
    assert weights.abs().max() <= 30
