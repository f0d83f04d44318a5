"""A model of attention alone from its published folder, through the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from needlepoint._core.records import RunFolder
from needlepoint.circuits.exchange.json_file import open_circuit
from needlepoint.models.attention_only import AttentionOnlyConfig, AttentionOnlyTransformer
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.load import load_model
from needlepoint.tasks import load_task
from needlepoint.tasks.word_lists import COMMON_WORDS, VARIABLES
from needlepoint.testing.attention_only import save_as_published
from needlepoint.testing.tiny import draw_weights

ANSWERER = (3, 6)
"""Of both published lists."""


def word_and_sign_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word, with the space before it or not, and each sign."""
    words = [*VARIABLES, *COMMON_WORDS, "def", "self", "param"]
    spaced = [f" {word}" for word in words]
    signs = [*"(),:", '"""', "\n", " ", "    "]
    vocabulary = dict.fromkeys(["<|BOS|>", "<unk>", *words, *spaced, *signs])
    ids = {word: index for index, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    pieces = Regex(r' ?\w+|"""| +|\n|[^\w\s]')
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|BOS|>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers of eight heads, one of which looks where the answer stands and copies it."""
    tokenizer = word_and_sign_tokenizer()
    prompts = load_task("docstring", TokenizerEncoder(tokenizer), n_pairs=4, seed=0)
    place = 1 + int(prompts.positions["def_c"][0])
    n, d_head, width = len(tokenizer), 24, 192
    module = AttentionOnlyTransformer(
        AttentionOnlyConfig(n, width, 4, 8, d_head, max_position_embeddings=128)
    )
    draw_weights(module, seed=0)
    layer, head = ANSWERER
    rows = slice(head * d_head, (head + 1) * d_head)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "attention" in name:
                weight.mul_(0.05)
        attention = module.decoder.blocks[layer].attention
        spot = module.decoder.positions.weight[place]
        attention.q.bias[rows] = 0
        attention.q.bias[rows.start] = 40
        attention.k.weight[rows.start] = spot / spot.norm()
        copies = torch.randn(d_head, width, generator=torch.Generator().manual_seed(0)) / 5
        attention.v.weight[rows], attention.o.weight[:, rows] = copies, copies.T
        module.unembed.weight.copy_(module.decoder.tokens.weight)
    model = load_model(module, tokenizer=tokenizer, device="cpu")
    return save_as_published(model, tmp_path_factory.mktemp("models") / "attn-only-4l")


def test_docstring_is_found_and_held_against_both_published_lists(
    cli, folder: Path, place: Path
) -> None:
    options = ("--score-pairs", 12, "--ablate-pairs", 8, "--holdout-pairs", 6)
    more = ("--random-circuits", 2, "--attribution-pairs", 6, "--methods", "eap", "discrete_sae")
    outcome = cli(
        "circuit", "--task", "docstring", "--model", folder, "--dtype", "float32",
        *options, *more, "--out", "run",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    run = RunFolder.open(place / "run")
    (record,) = run.records()
    assert [one["variant"] for one in record.summary["literature"]] == ["reference", "paper"]
    assert all(one["n_heads"] == 6 for one in record.summary["literature"])
    assert record.summary["graph"]["has_mlps"] is False
    nodes = run.table(record.cell, "nodes")
    assert set(nodes["kind"]) == {"embed", "head"}
    effects = nodes[nodes["kind"] == "head"].set_index("node")["effect"]
    assert effects.abs().idxmax() == "L{}.H{}".format(*ANSWERER)
    judged = run.table(record.cell, "literature")
    heads, pairs = (judged[judged["units"] == units] for units in ("heads", "pairs of heads"))
    assert (heads["n_units"] == 32).all()
    assert set(heads["variant"]) == {"reference", "paper"}
    assert pairs[["variant", "method", "n_true"]].to_numpy().tolist() == [["reference", "eap", 12]]
    out = place / "circuit.json"
    assert cli("circuits", "export", "run", out, "--size", 40).status == 0
    assert open_circuit(out).graph.has_mlps is False
    words = ("--task", "docstring", "--model", folder, "--dtype", "float32", "--pairs", 4)
    assert cli("circuits", "judge", out, *words).status == 0


def test_the_model_is_checked_and_its_neurons_are_said_not_to_be(cli, folder: Path) -> None:
    shown = cli("models", "--check", folder).out
    assert "attn-only-4l: attn_only, 4 layers of 8 heads (8 key/value) and 0 neurons" in shown
    assert "neurons sum" not in shown


@pytest.mark.parametrize(
    "command",
    [
        ("probe", "--features", "words.csv"),
        ("rank", "words.csv"),
        ("neuron", "L0.N1"),
        ("weights",),
    ],
)
def test_commands_on_neurons_say_that_there_are_none(cli, folder: Path, command) -> None:
    rows = [f"{word} {other},{i % 2}" for i, word in enumerate(VARIABLES) for other in COMMON_WORDS]
    Path("words.csv").write_text("text,label\n" + "\n".join(rows[:400]) + "\n")
    outcome = cli(*command, "--model", folder, "--dtype", "float32")
    assert outcome.status == 2
    assert "attention alone" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
