"""Slow, obvious implementations, read straight from the papers, that fast ones must agree with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from needlepoint.circuits.graph.graph import Kind, Node
from needlepoint.circuits.pair_batch import PairBatch
from needlepoint.circuits.patching.replacement import Replacement
from needlepoint.models.hooks import replace
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site


class ReferenceSAE(nn.Module):
    """The discrete sparse autoencoder as a plain module trained by autograd, one seed at a time.

    Draws, in this order: encoder, decoder, encoder bias, order of the examples.
    """

    def __init__(self, d_model: int, n_codes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = nn.Parameter(torch.randn(n_codes, d_model, generator=generator))
        self.decoder = nn.Parameter(torch.randn(d_model, n_codes, generator=generator))
        uniform = torch.rand(n_codes, generator=generator)
        self.code_bias = nn.Parameter((2 * uniform - 1) / d_model**0.5)
        self.bias = nn.Parameter(torch.zeros(d_model))

    def scale_rows(self) -> None:
        """Bring the last axis of both weights to unit length."""
        with torch.no_grad():
            for weight in (self.encoder, self.decoder):
                weight.div_(weight.norm(dim=-1, keepdim=True))

    def forward(self, x: Float[Tensor, "vector d_model"]) -> tuple[Tensor, Tensor]:
        """Code activations and reconstruction."""
        self.scale_rows()
        drive: Tensor = (x - self.bias) @ self.encoder.T + self.code_bias
        active = torch.relu(drive)
        decoded: Tensor = active @ self.decoder.T + self.bias
        return active, decoded

    def codes(self, heads: Float[Tensor, "example head d_model"]) -> Int[Tensor, "example head"]:
        """Index of the largest activation; 0 where all are 0."""
        with torch.no_grad():
            active, _ = self(heads.flatten(0, 1))
        codes: Tensor = active.argmax(-1).reshape(heads.shape[:2])
        return codes


def autoencoder_loss(
    model: ReferenceSAE, x: Float[Tensor, "vector d_model"], sparsity: float
) -> Tensor:
    """Mean squared error over coordinates plus the mean L1 norm of the activations."""
    active, decoded = model(x)
    squared: Tensor = (decoded - x).square().mean()
    penalty: Tensor = active.abs().sum(-1).mean()
    return squared + sparsity * penalty


def train_autoencoder(
    heads: Float[Tensor, "example head d_model"],
    generator: torch.Generator,
    *,
    n_codes: int = 200,
    sparsity: float = 0.02,
    n_steps: int = 500,
    n_train_examples: int = 10,
    learning_rate: float = 1e-3,
) -> ReferenceSAE:
    """Train one seed the long way: autograd, a gradient projection, Adam."""
    model = ReferenceSAE(heads.shape[-1], n_codes, generator).to(heads)
    order = torch.randperm(len(heads), generator=generator)[:n_train_examples]
    x = heads[order].flatten(0, 1)
    adam = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for _ in range(n_steps):
        adam.zero_grad()
        torch.autograd.backward(autoencoder_loss(model, x, sparsity))
        for weight in (model.encoder, model.decoder):
            if weight.grad is not None:
                along = (weight.grad * weight.detach()).sum(-1, keepdim=True)
                weight.grad -= along * weight.detach()
        adam.step()
    model.scale_rows()
    return model


def codes_unique_to_clean(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"]
) -> list[int]:
    """Codes of each head on clean examples less those on corrupt ones, by sets."""
    rows = codes.tolist()
    flags = is_clean.tolist()
    found = []
    for head in range(codes.shape[1]):
        clean = {row[head] for row, flag in zip(rows, flags, strict=True) if flag}
        corrupt = {row[head] for row, flag in zip(rows, flags, strict=True) if not flag}
        found.append(len(clean - corrupt))
    return found


def dense_pair_counts(
    codes: Int[Tensor, "example head"], is_clean: Bool[Tensor, " example"], *, n_codes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Unique, clean and corrupt code pairs from the full heads x heads x codes x codes arrays."""
    hot = nn.functional.one_hot(codes.long(), n_codes)
    clean = torch.einsum("ehc,egd->hgcd", hot[is_clean], hot[is_clean]) > 0
    corrupt = torch.einsum("ehc,egd->hgcd", hot[~is_clean], hot[~is_clean]) > 0
    found = [part.sum((-1, -2)) for part in (clean & ~corrupt, clean, corrupt)]
    for part in found:
        part.fill_diagonal_(0)
    return found[0], found[1], found[2]


def edge_counts(pairs: Int[Tensor, "head head"], k: int) -> list[int]:
    """Heads counted in the first `k` entries of the sorted list of ordered pairs."""
    n_heads = len(pairs)
    ordered = [(one, two) for one in range(n_heads) for two in range(n_heads)]
    ordered.sort(key=lambda pair: -int(pairs[pair]))
    entries = [head for pair in ordered for head in pair][:k]
    counts = Counter(entries)
    return [counts[head] for head in range(n_heads)]


def node_effects(
    model: Model,
    pairs: PairBatch,
    values: Replacement,
    nodes: Sequence[Node],
    where: Bool[Tensor, "pair pos"],
) -> Float[Tensor, "pair writer"]:
    """Change of the metric when each node is replaced where told: a whole pass for each node."""
    found = []
    with torch.no_grad():
        base = pairs.answers(model.last_logits(pairs.clean))
        for node in nodes:
            site, new = _site_and_value(node, values)

            def swapped(old: Tensor, new: Tensor = new) -> Tensor:
                return torch.where(where[..., None], new, old)

            with replace(model, {site: swapped}):
                found.append(pairs.answers(model.last_logits(pairs.clean)) - base)
    return torch.stack(found, dim=1)


def _site_and_value(node: Node, values: Replacement) -> tuple[Site, Tensor]:
    if node.kind is Kind.HEAD:
        site = Site.of(node.layer, Part.HEAD, node.index)
        return site, values.heads(node.layer)[:, :, node.index]
    if node.kind is Kind.MLP:
        return Site.of(node.layer, Part.MLP), values.mlp(node.layer)
    return Site.of(0, Part.RESID_IN), values.embedding()
