"""GPT-2 small: published figures of IOI and greater-than, where its weights can be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from needlepoint._core.errors import ModelError
from needlepoint.circuits.ablation import PairBatch, from_clean
from needlepoint.circuits.graph.terms import graph_of
from needlepoint.circuits.known.published import circuit_heads
from needlepoint.circuits.metric import Answers
from needlepoint.circuits.pair_batch import clean_metric, corrupt_metric
from needlepoint.evaluation.paper_faithfulness import denoised_faithfulness
from needlepoint.evaluation.read_heads import pair_batch
from needlepoint.models.load import load_model
from needlepoint.models.model import Model
from needlepoint.tasks import Pair, Prompts, load_task, pair_prompts
from needlepoint.tasks.known_circuits import known_circuits

pytestmark = pytest.mark.journey

FOLDER = "NEEDLEPOINT_GPT2"
"""Environment variable with a folder of GPT-2 small, its tokenizer and safetensors."""
TEMPLATES = (
    ("When John and Mary went to the shops,{} gave the bag to", " Mary", " John"),
    ("When Tom and James went to the park,{} gave the ball to", " Tom", " James"),
    ("When Dan and Sid went to the shops,{} gave an apple to", " Dan", " Sid"),
    ("After Martin and Amy went to the park,{} gave a drink to", " Martin", " Amy"),
)
"""Each with the indirect object and the subject of its first prompt; the second swaps them."""
LOGIT_DIFFERENCES = (3.337, 3.202, 2.709, 3.797, 1.720, 5.281, 2.601, 5.767)
AUTOENCODER_HEADS = (
    (0, 1), (0, 3), (0, 10), (1, 5), (2, 2), (2, 6), (2, 10), (3, 4), (3, 6), (4, 3), (5, 2),
    (5, 10), (6, 0), (6, 7), (6, 9), (7, 9), (8, 2), (8, 4), (8, 5), (8, 6), (8, 10), (8, 11),
    (9, 0), (9, 2), (9, 5), (9, 6), (9, 7), (9, 8), (9, 9), (10, 0), (10, 1), (10, 2), (10, 3),
    (10, 6), (10, 7), (10, 10), (11, 2), (11, 3), (11, 6), (11, 10),
)  # fmt: skip
"""The forty heads of the published discrete-autoencoder circuit."""
PROBABILITY_DIFFERENCE = 0.817
"""On the clean prompts of Hanna et al. 2023 (arXiv 2305.00586); their nouns are not ours."""


@pytest.fixture(scope="module")
def gpt2() -> Model:
    folder = os.environ.get(FOLDER, "")
    if folder and not Path(folder).is_dir():
        pytest.fail(f"{FOLDER} is {folder}, which is no folder")
    try:
        return load_model(folder or "openai-community/gpt2", dtype="float32", device="cpu")
    except ModelError as error:
        if folder:
            raise
        pytest.skip(f"GPT-2 small is not in the hub cache, and {FOLDER} names no folder: {error}")


@pytest.fixture(scope="module")
def pairs(gpt2: Model) -> PairBatch:
    made = []
    for template, io, s in TEMPLATES:
        for answer, subject in ((io, s), (s, io)):
            made.append(Pair(template.format(subject), template.format(answer), answer, subject))
    prompts = pair_prompts(
        made, gpt2.encoder, task="ioi", description="", question="", corruption="swap"
    )
    clean, corrupt = (gpt2.batch(ids) for ids in (prompts.clean_ids, prompts.corrupt_ids))
    return PairBatch(clean, corrupt, Answers.of(prompts))


def test_logit_differences_of_the_eight_prompts(gpt2, pairs) -> None:
    with torch.no_grad():
        clean = pairs.answers(gpt2.last_logits(pairs.clean))
        corrupt = pairs.answers(gpt2.last_logits(pairs.corrupt))
    assert clean.tolist() == pytest.approx(LOGIT_DIFFERENCES, abs=0.01)
    assert float(clean.mean()) == pytest.approx(3.552, abs=0.01)
    assert float(corrupt.mean()) == pytest.approx(-3.552, abs=0.01)


def test_divergence_of_the_corrupt_from_the_clean_predictions(gpt2, pairs) -> None:
    judged = from_clean(gpt2, pairs)
    with torch.no_grad():
        found = judged.answers(gpt2.last_logits(pairs.corrupt))
    assert float(found.mean()) == pytest.approx(1.945, abs=0.01)


@pytest.mark.parametrize(
    ("heads", "difference", "score"),
    [("published", 4.11, 1.08), ("autoencoder", 3.62, 1.01)],
)
def test_overwriting_the_heads_of_a_circuit_brings_the_answer_back(
    gpt2, pairs, heads, difference, score
) -> None:
    (paper,) = known_circuits("ioi", "gpt2", "paper")
    circuit = circuit_heads(paper, graph_of(gpt2))
    if heads == "autoencoder":
        circuit = torch.zeros(144, dtype=torch.bool)
        circuit[[12 * layer + head for layer, head in AUTOENCODER_HEADS]] = True
    found = denoised_faithfulness(gpt2, pairs, circuit)
    assert float(found.circuit.mean()) == pytest.approx(difference, abs=0.02)
    assert found.score == pytest.approx(score, abs=0.01)


def sharpness(model: Model, prompts: Prompts) -> float:
    """Mean of `p(YY + 1) - p(YY - 1)`, YY the last digits of the first year."""
    batch = model.batch(prompts.clean_ids)
    with torch.no_grad():
        chances = model.last_logits(batch).softmax(-1)
    found = []
    for row, pair in zip(chances, prompts.pairs, strict=True):
        above, below = (
            model.encoder.encode(some)[0] for some in (pair.answers[0], pair.wrongs[-2])
        )
        found.append(row[above] - row[below])
    return float(torch.stack(found).mean())


def test_years_above_the_first_one_get_the_published_share_of_probability(gpt2) -> None:
    """And the cut is sharp: the year after the first is likelier than the year before it."""
    prompts = load_task("greater_than", gpt2.encoder, n_pairs=194, seed=0)
    assert len(prompts.pairs[0].answers) + len(prompts.pairs[0].wrongs) > 90, "17|32, as published"
    pairs = pair_batch(gpt2, prompts)
    clean, corrupt = clean_metric(gpt2, pairs).mean(), corrupt_metric(gpt2, pairs).mean()
    assert float(clean) == pytest.approx(PROBABILITY_DIFFERENCE, abs=0.05)
    assert float(corrupt) < 0
    assert sharpness(gpt2, prompts) > 0
