"""What heads add to the stream, against the graph's terms; its size, against the norms alone."""

from __future__ import annotations

import pytest
import torch

from needlepoint.circuits.graph.terms import graph_of, terms
from needlepoint.models.hooks import record
from needlepoint.models.micro import micro_model
from needlepoint.models.model import Model
from needlepoint.models.published import centred_head_weights
from needlepoint.models.reads import writing_norm
from needlepoint.models.writes import next_norms, read_size, writing_division, writing_weights
from needlepoint.testing.tiny import tiny_model


def uneven(family: str) -> Model:
    """A tiny model whose norms have gains of their own."""
    model = tiny_model(family)
    rng = torch.Generator().manual_seed(0)
    for name, weight in model.module.named_parameters():
        if weight.ndim == 1 and ("norm" in name or "ln_" in name):
            weight.data += 0.3 * torch.randn(weight.shape, generator=rng)
    return model


@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3"])
def test_divided_z_through_the_weights_is_the_term_of_the_graph(family: str) -> None:
    model = uneven(family)
    batch = model.batch([[1, 2, 3, 4]])
    graph, weights = graph_of(model), writing_weights(model)
    wanted = terms(model, batch)
    layers = range(model.shape.n_layers)
    sites = [f"L{layer}.attn.{part}" for layer in layers for part in ("z", "out")]
    with record(model, sites) as kept, torch.no_grad():
        model.hidden(batch)
    values = list(kept.values())
    for layer in layers:
        z, out = values[2 * layer : 2 * layer + 2]
        norm = writing_norm(model, layer, "attention")
        if norm is not None:
            z = z * writing_division(norm, out)[..., None, None]
        own = weights[layer * model.shape.n_heads :][: model.shape.n_heads]
        term = torch.einsum("bphd,hdm->bphm", z, own)
        torch.testing.assert_close(term, wanted[:, :, graph.heads(layer)], rtol=1e-4, atol=1e-6)


def test_without_a_norm_after_attention_the_weights_are_as_they_are() -> None:
    for family in ("gpt2", "llama"):
        model = uneven(family)
        torch.testing.assert_close(writing_weights(model), centred_head_weights(model))


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
def test_the_size_is_that_of_the_normed_stream_before_its_division(family: str) -> None:
    model = uneven(family)
    stream = 50 * torch.randn(7, model.shape.d_model, generator=torch.Generator().manual_seed(1))
    top = model.module
    inside = top.transformer.h if family == "gpt2" else top.model.layers
    modules = [block.ln_1 if family == "gpt2" else block.input_layernorm for block in inside[1:]]
    modules.append(top.transformer.ln_f if family == "gpt2" else top.model.norm)
    for norm, module in zip(next_norms(model), modules, strict=True):
        assert norm is not None
        with torch.no_grad():
            normed = (module(stream) - norm.shift).norm(dim=-1)
        centred = stream - stream.mean(-1, keepdim=True) if norm.centres else stream
        root = centred.square().mean(-1).sqrt()
        torch.testing.assert_close(read_size(norm, stream), normed * root, rtol=1e-3, atol=1e-4)


def test_a_stream_read_through_no_norm_is_as_large_as_it_is() -> None:
    model = micro_model()
    stream = torch.randn(3, model.shape.d_model)
    for norm in next_norms(model):
        if norm is None:
            torch.testing.assert_close(read_size(norm, stream), stream.norm(dim=-1))
