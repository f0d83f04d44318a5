"""A RASP program as a transformer that runs under the same hooks as any other model.

Tracr's compiler gives each variable of a program directions of its own in the residual stream and
works out, as exact matrices, what every head and every MLP does. These matrices are laid out here
as the weights of a `PlainTransformer`, as Tracr lays them out for its own transformer; the two
agree layer by layer (a test holds them together).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.models.plain import PlainAttention, PlainBlock, PlainConfig, PlainTransformer
from needlepoint.models.tracr.library import Library, tracr_library
from needlepoint.models.tracr.programs import PROGRAMS, Program, Value
from needlepoint.models.word_tokenizer import word_tokenizer

BOS = "BOS"
"""Stands before every input: attention rests on it where nothing is selected."""
PAD = "PAD"
"""In the vocabulary of every compiled program; not used here."""
OUTPUT = "<output>"
"""The token whose logit is the output of a numerical program."""
RIVAL = "<zero>"
"""The token whose logit is always 0: the logit difference from it is the output itself."""
EXACTNESS = 100
"""How finely an MLP's ReLU neurons imitate a function of one number (Tracr's own default)."""


@dataclass(frozen=True)
class TracrModel:
    """A compiled program."""

    program: Program
    model: Model
    residual: tuple[str, ...]
    """What each coordinate of the residual stream stands for: `variable:value`. The numbers behind
    variables are counted through by Tracr, and differ from one compilation to the next."""
    rasp: Any
    """The program in RASP, for its own evaluation."""

    def expected(self, words: Sequence[str]) -> tuple[Value, ...]:
        """What the program gives at each position, by its own definition and not by the model.

        Args:
            words: The tokens as text, without the first one.
        """
        values = {str(value): value for value in self.program.vocabulary}
        sequence = [values[word] for word in words]
        if self.model.causal:
            return tuple(tracr_library().causal_eval.evaluate(self.rasp, sequence))
        return tuple(self.rasp(sequence))


@dataclass(frozen=True)
class _Crafted:
    """A program as exact matrices on subspaces of the residual stream."""

    blocks: Sequence[Any]
    """Attention and MLPs in turn; either may be missing."""
    space: Any
    tokens: Any
    indices: Any
    output: Any


def tracr_model(program: str | Program, *, causal: bool = False) -> TracrModel:
    """A RASP program compiled to a transformer; which of its parts matter can be derived.

    There are no norms. Unless `causal`, attention sees later positions too, and texts of a batch
    must be of equal length. The output of a position is its best logit (1 for the right value,
    else 0); that of a numerical program is the logit of `<output>`, beside that of `<zero>`, which
    is always 0, so that the logit difference of the two is the number. Most values have a token
    of their own beside those of the input.

    Args:
        program: The name of one in `PROGRAMS`, or one of your own.
        causal: Compile for attention to this position and those before it. Not every program
            means the same then.

    Raises:
        ModelError: If Tracr is not installed.
        UnknownNameError: If there is no program of that name.
        DataError: If Tracr cannot compile the program.

    References:
        Lindner et al. 2023 (arXiv 2301.05062); RASP: Weiss, Goldberg and Yahav, "Thinking Like
        Transformers", 2021 (arXiv 2106.06981).
    """
    tracr = tracr_library()
    chosen = PROGRAMS[program] if isinstance(program, str) else program
    rasp = chosen.build(tracr)
    crafted = _craft(tracr, chosen, rasp)
    words = _words(crafted, chosen.numerical)
    module = PlainTransformer(_config(chosen, crafted, len(words), causal))
    with torch.no_grad():
        _embed(tracr, module, crafted, words, chosen.numerical)
        for layer, blocks in enumerate(_layers(tracr, crafted.blocks)):
            block = module.decoder.blocks[layer]
            assert isinstance(block, PlainBlock)
            _fill(tracr, block, crafted.space, blocks)
    tokenizer = word_tokenizer(words, first=BOS)
    loaded = load_model(module, tokenizer=tokenizer, device="cpu", first_token=words.index(BOS))
    source = {"source": f"the RASP program {chosen.name}, compiled by Tracr"}
    model = replace(loaded, name=f"tracr {chosen.name}", provenance=source)
    return TracrModel(chosen, model, tuple(map(str, crafted.space.basis)), rasp)


def _craft(tracr: Library, program: Program, rasp: Any) -> _Crafted:
    """What Tracr's compiler makes of a program, before it makes a model of its own of that."""
    _refuse(tracr, program, rasp)
    found = tracr.rasp_to_graph.extract_rasp_graph(rasp)
    graph, sink = found.graph, found.sink
    vocabulary = set(program.vocabulary)
    tracr.basis_inference.infer_bases(graph, sink, vocabulary, program.length)
    first = tracr.bases.BasisDirection(tracr.rasp.tokens.label, BOS)
    tracr.expr_to_craft_graph.add_craft_components_to_rasp_graph(
        graph, bos_dir=first, mlp_exactness=EXACTNESS
    )
    series = tracr.craft_graph_to_model.craft_graph_to_model(graph, found.sources)
    spaces = tracr.bases.VectorSpaceWithBasis
    tokens = spaces.from_values(tracr.rasp.tokens.label, vocabulary | {BOS, PAD})
    indices = spaces.from_values(tracr.rasp.indices.label, range(program.length))
    output = spaces(sink[tracr.nodes.OUTPUT_BASIS])
    whole = tracr.bases.join_vector_spaces(series.residual_space, tokens, indices, output)
    ordered = spaces(sorted(whole.basis, key=_natural))
    return _Crafted(series.blocks, ordered, tokens, indices, output)


def _natural(direction: Any) -> list[str | int]:
    """Numbers in order of size: Tracr counts its variables through, so names differ in length."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(direction))]


def _refuse(tracr: Library, program: Program, rasp: Any) -> None:
    reasons = [
        f"{found.expr.name}: {found.reason}" for found in tracr.validating.static_validate(rasp)
    ]
    if tracr.rasp.is_numerical(rasp) != program.numerical:
        kind = "numerical" if tracr.rasp.is_numerical(rasp) else "categorical"
        reasons.append(f"its output is {kind}, so give numerical={not program.numerical}")
    if reasons:
        raise DataError(f"Tracr cannot compile {program.name}: {'; '.join(reasons)}.")


def _words(crafted: _Crafted, numerical: bool) -> list[str]:
    """One token for each input and for each output, alike where they have the same name."""
    inputs = [str(direction.value) for direction in crafted.tokens.basis]
    outputs = [] if numerical else [str(direction.value) for direction in crafted.output.basis]
    extra = [OUTPUT, RIVAL] if numerical else [word for word in outputs if word not in inputs]
    return inputs + extra


def _layers(tracr: Library, blocks: Sequence[Any]) -> list[dict[str, Any]]:
    """The blocks by layer: each layer has attention, an MLP or both, in this order."""
    layers: list[dict[str, Any]] = [{}]
    for block in blocks:
        kind = "mlp" if isinstance(block, tracr.transformers.MLP) else "attention"
        if "mlp" in layers[-1] or kind in layers[-1]:
            layers.append({})
        layers[-1][kind] = block
    return layers


def _config(program: Program, crafted: _Crafted, n_words: int, causal: bool) -> PlainConfig:
    tracr = tracr_library()
    layers = _layers(tracr, crafted.blocks)
    attentions = [list(at["attention"].as_multi().heads()) for at in layers if "attention" in at]
    heads = [head for found in attentions for head in found]
    n_heads = max((len(found) for found in attentions), default=1)
    return PlainConfig(
        vocab_size=n_words,
        hidden_size=crafted.space.num_dims,
        num_hidden_layers=len(layers),
        num_attention_heads=n_heads,
        head_dim=max(
            (max(head.w_qk.matrix.shape + head.w_ov.matrix.shape[1:]) for head in heads), default=1
        ),
        intermediate_size=max(
            (at["mlp"].fst.output_space.num_dims for at in layers if "mlp" in at), default=1
        ),
        num_key_value_heads=n_heads,
        max_position_embeddings=program.length + 1,
        causal=causal,
    )


def _embed(
    tracr: Library,
    module: PlainTransformer,
    crafted: _Crafted,
    words: Sequence[str],
    numerical: bool,
) -> None:
    """Tokens with a 1 in the direction `one` if there is one, indices from the second position."""
    space = crafted.space
    inputs = _map(tracr, crafted.tokens, space)
    one = tracr.bases.BasisDirection("one")
    if one in space:
        inputs = inputs + _tensor(space.vector_from_basis_direction(one).magnitudes)
    module.decoder.tokens.weight[: len(inputs)] = inputs
    module.decoder.positions.weight[1:] = _map(tracr, crafted.indices, space)
    read = _map(tracr, space, crafted.output).T
    values = [str(direction.value) for direction in crafted.output.basis]
    names = [OUTPUT] if numerical else values
    for name, row in zip(names, read, strict=True):
        module.unembed.weight[words.index(name)] = row


def _fill(tracr: Library, block: PlainBlock, space: Any, blocks: dict[str, Any]) -> None:
    if "attention" in blocks:
        for index, head in enumerate(blocks["attention"].as_multi().heads()):
            _fill_head(tracr, block.attention, index, space, head)
    if "mlp" in blocks:
        first, second = blocks["mlp"].fst, blocks["mlp"].snd
        size = first.output_space.num_dims
        read = _map(tracr, space, first.input_space) @ _tensor(first.matrix)
        write = _tensor(second.matrix) @ _map(tracr, second.output_space, space)
        block.mlp.up.weight[:size] = read.T
        block.mlp.down.weight[:, :size] = write.T


def _fill_head(
    tracr: Library, attention: PlainAttention, index: int, space: Any, head: Any
) -> None:
    start = index * attention.d_head
    scores, values = head.w_qk, head.w_ov
    query = _map(tracr, space, scores.left_space) @ _tensor(scores.matrix)
    key = _map(tracr, space, scores.right_space)
    value = _map(tracr, space, values.input_space) @ _tensor(values.matrix)
    write = _map(tracr, values.output_space, space)
    for linear, made in ((attention.q, query), (attention.k, key), (attention.v, value)):
        linear.weight[start : start + made.shape[1]] = made.T
    attention.o.weight[:, start : start + len(write)] = write.T


def _map(tracr: Library, source: Any, target: Any) -> Float[Tensor, "row width"]:
    """The projection from one space onto another, as a matrix that rows are multiplied by."""
    return _tensor(tracr.vectorspace_fns.project(source, target).matrix)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
