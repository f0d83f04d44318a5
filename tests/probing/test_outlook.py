import torch
from torch import Tensor

from needlepoint.probing.outlook import Outlook
from needlepoint.probing.path import Rows, fit
from needlepoint.probing.sweep import fit_on_support, prepare

HEAVY = 300.0
"""A ridge under which the loss is its own quadratic model."""


def start(support: list[int]) -> tuple[Tensor, Tensor, Rows, Outlook, float]:
    """A heavily penalised fit of feature 1 on some neurons, and what it says of all others."""
    generator = torch.Generator().manual_seed(0)
    acts = torch.randn(200, 8, generator=generator, dtype=torch.float64)
    acts += torch.randn(200, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    labels = acts[:, :2] + acts[:, 2:4] + noise > 0.3
    rows = prepare(acts, labels, HEAVY, balanced=True)
    here = fit(rows.only(1), torch.tensor([support]))
    return acts, labels, rows, Outlook.of(rows, here, 1), float(here.fit.loss)


def loss(acts: Tensor, labels: Tensor, support: list[int]) -> float:
    """The lowest loss of feature 1 on some neurons."""
    read = torch.tensor([sorted(support)])
    return float(fit_on_support(acts, labels[:, 1:], read, l2=HEAVY).loss)


def test_promised_gains_are_exact_in_the_quadratic_limit() -> None:
    acts, labels, _, outlook, here = start([1, 4])
    gains = outlook.gains()
    for neuron in range(8):
        if neuron in (1, 4):
            assert gains[neuron] == -torch.inf
        else:
            fallen = here - loss(acts, labels, [1, 4, neuron])
            torch.testing.assert_close(float(gains[neuron]), fallen, rtol=1e-3, atol=1e-12)


def test_promised_exchanges_are_exact_in_the_quadratic_limit() -> None:
    acts, labels, _, outlook, here = start([1, 4])
    promise = outlook.exchanges()
    for place, kept in ((0, 4), (1, 1)):
        for neuron in range(8):
            if neuron in (1, 4):
                assert promise[place, neuron] == -torch.inf
            else:
                fallen = here - loss(acts, labels, [kept, neuron])
                torch.testing.assert_close(
                    float(promise[place, neuron]), fallen, rtol=1e-3, atol=1e-9
                )
