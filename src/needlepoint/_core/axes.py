"""The glossary of tensor axes: every shape in a signature is spelled with these words."""

from __future__ import annotations

AXES: dict[str, str] = {
    "batch": "rows of one forward pass, an arbitrary grouping of examples",
    "example": "one prompt, window of text, or probed position",
    "document": "one source of text, which no split may part",
    "pair": "one clean prompt and its corrupt counterpart",
    "answer": "right next token of a pair, or whichever tokens are looked up, filled up with -1",
    "wrong_answer": "next token of a pair that the right ones are held against, filled up with -1",
    "pos": "token position within an example, the added first token included",
    "layer": "transformer block, counted from 0",
    "head": "query head; over the whole model in layer-major order when no layer axis is present",
    "d_head": "width of one head",
    "d_model": "width of the residual stream",
    "neuron": "input unit of the MLP's down projection",
    "unit": "any column of a matrix of activations: a neuron, a head, a coordinate",
    "example_validation": "example of the validation part",
    "feature": "one yes-or-no property of an example",
    "vocab": "token of the vocabulary",
    "code": "entry of a dictionary of a discrete autoencoder",
    "seed": "independent repeat of a random procedure, batched",
    "k": "neurons read by one sparse probe",
    "span": "stretch of positions reduced to one row",
    "resample": "bootstrap or permutation draw",
    "row": "row of a matrix, whatever it stands for",
    "value": "entry of a plain list of numbers",
    "vector": "output of one head on one example, heads and examples in one row",
    "group": "examples that were not drawn independently, kept or resampled together",
    "width": "length of one activation vector, whatever the site",
}
