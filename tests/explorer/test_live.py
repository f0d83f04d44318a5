"""What the live model says is what the model computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError, UnknownSiteError
from needlepoint.explorer.live.codebook import fit_codebook
from needlepoint.explorer.live.service import KEPT_TEXTS, LiveModel
from needlepoint.explorer.live.text_run import Wanted, run_text
from needlepoint.explorer.questions import Contrast, SiteEdit, TextAnswer, TextQuestion
from needlepoint.models.hooks import record
from needlepoint.models.hooks import replace as replaced
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_model, planted_prompts
from needlepoint.models.sites import Site
from needlepoint.testing.tiny import TINY_FAMILIES, tiny_model

TEXT = "The keys to the cabinet"
CONTRAST = Contrast("The key to the cabinets", ("a",), ("b", "c"))


def logits(model: Model, text: str = TEXT) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model.batch([model.encoder.encode(text)]))[0].float()


def probabilities(model: Model, position: int = -1) -> torch.Tensor:
    return logits(model)[position].softmax(-1)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "gemma2", "opt", "phi3", "llama-mqa"])
def test_predictions_and_activations_are_the_models_own(family: str) -> None:
    model = tiny_model(family)
    found = LiveModel(model, family).answer(TextQuestion(TEXT, ("L1.N7", "L2.H3")))
    with record(model, ["L1.N7"]) as kept:
        expected = probabilities(model)
    best = found.likely[0]
    assert best.id == int(expected.argmax())
    assert best.before == pytest.approx(float(expected.max()), abs=1e-5)
    assert best.after is None
    assert found.neurons[0].activations == pytest.approx(
        kept[Site.parse("L1.N7")][0].tolist(), abs=1e-3
    )
    rows = found.heads[0].pattern
    assert [len(row) for row in rows] == list(range(1, len(found.tokens) + 1))
    assert [sum(row) for row in rows] == pytest.approx([1.0] * len(rows), abs=5e-3)


@pytest.mark.parametrize("family", sorted(TINY_FAMILIES))
def test_an_edit_is_what_replacing_the_site_does(family: str) -> None:
    model = tiny_model(family)
    first = len(model.prefix)

    def zeroed(z: torch.Tensor) -> torch.Tensor:
        z = z.clone()
        z[:, first:] = 0
        return z

    with replaced(model, {"L1.H2.z": zeroed, "L1.N5": zeroed}):
        expected = probabilities(model)
    edits = (SiteEdit("L1.H2"), SiteEdit("L1.N5"))
    found = LiveModel(model, family).answer(TextQuestion(TEXT, ("L1.N5", "L0.N1"), edits=edits))
    assert found.likely[0].after is not None
    for token in found.likely:
        assert token.after == pytest.approx(float(expected[token.id]), abs=1e-5)
    assert found.neurons[0].edited is not None
    assert set(found.neurons[0].edited[first:]) == {0.0}
    assert found.neurons[1].edited == found.neurons[1].activations
    assert found.divergence is not None
    assert found.divergence > 0


@pytest.mark.parametrize("family", ["gpt2", "gemma3", "gpt_neox"])
@pytest.mark.parametrize("layer", [0, 1])
def test_an_edit_is_the_same_beside_the_text_and_after_it(family: str, layer: int) -> None:
    """One pass of text and edited copy, or the edit from the kept pass: each number alike."""
    model, head = tiny_model(family), f"L{layer}.H1"
    changes = SiteEdit(head, "scale", 2.0), SiteEdit("L2.N3", "mean"), SiteEdit("L1.N5", "corrupt")
    plain = TextQuestion(TEXT, ("L0.N1", "L1.N5", head), position=3, contrast=CONTRAST)
    asked = replace(plain, edits=changes)
    beside = LiveModel(model, family).answer(asked)
    live = LiveModel(model, family)
    before = live.answer(plain)
    after = live.answer(asked)
    assert values(after) == pytest.approx(values(beside), abs=2e-4)
    for one, other in zip(before.neurons, beside.neurons, strict=True):
        assert one.activations == pytest.approx(other.activations, abs=2e-4)
    assert beside.heads[0].codes is None
    assert beside.neurons[1].edited != beside.neurons[1].activations


def values(answer: TextAnswer) -> list[float]:
    """The numbers of an answer with edits, in one row."""
    neurons = [value for one in answer.neurons for value in [*one.activations, *(one.edited or ())]]
    rows = [value for head in answer.heads for row in head.pattern for value in row]
    likely = [value for one in answer.likely for value in (one.before, one.after)]
    found = answer.measured
    return [*neurons, *rows, *likely, answer.divergence, found.clean, found.corrupt, found.after]


def test_scaling_by_one_changes_nothing_and_mean_is_over_the_text(live: LiveModel) -> None:
    site, first = "L1.N5", len(live.model.prefix)
    same = live.answer(TextQuestion(TEXT, (site,), edits=(SiteEdit(site, "scale", 1.0),)))
    assert same.divergence == pytest.approx(0, abs=1e-9)
    own = same.neurons[0].activations[first:]
    mean = live.answer(TextQuestion(TEXT, (site,), edits=(SiteEdit(site, "mean"),)))
    assert mean.neurons[0].edited is not None
    assert mean.neurons[0].edited[first:] == pytest.approx(
        [sum(own) / len(own)] * len(own), abs=1e-3
    )
    twice = live.answer(TextQuestion(TEXT, (site,), edits=(SiteEdit(site, "scale", 2.0),)))
    assert twice.neurons[0].edited is not None
    assert twice.neurons[0].edited[first:] == pytest.approx([2 * value for value in own], abs=1e-3)


def test_the_metric_is_the_logit_difference_of_the_pair(live: LiveModel) -> None:
    found = live.answer(TextQuestion(TEXT, contrast=CONTRAST))
    ids = live.model.encoder.encode("abc")
    assert found.measured is not None
    assert found.measured.after is None
    for text, value in ((TEXT, found.measured.clean), (CONTRAST.corrupt, found.measured.corrupt)):
        last = logits(live.model, text)[-1][ids]
        assert value == pytest.approx(float(last[0] - last[1:].mean()), abs=1e-4)


def test_giving_every_head_and_neuron_its_corrupt_value_gives_the_corrupt_metric() -> None:
    """All parts of a layer corrupt, and the same token last: only the embeddings stay clean."""
    model = tiny_model("gpt2", n_layer=1, n_head=2, n_inner=3)
    sites = [f"L0.H{head}" for head in range(2)] + [f"L0.N{neuron}" for neuron in range(3)]
    edits = tuple(SiteEdit(site, "corrupt") for site in sites)
    pair = Contrast("A keys to the cabinet"[:20] + "ets", ("a",), ("b",))
    text = "The keys to the cabinets"[: len(pair.corrupt)]
    pair = Contrast(text.replace("keys", "cats"), ("a",), ("b",))
    found = LiveModel(model, "gpt2").answer(TextQuestion(text, edits=edits, contrast=pair))
    assert found.measured is not None
    assert found.measured.clean != pytest.approx(found.measured.corrupt, abs=1e-3)
    assert found.measured.after == pytest.approx(found.measured.corrupt, abs=1e-4)


def test_a_clicked_token_is_predicted_from(live: LiveModel) -> None:
    found = live.answer(TextQuestion(TEXT, position=4))
    expected = probabilities(live.model, 4)
    assert found.position == 4
    assert found.likely[0].before == pytest.approx(float(expected.max()), abs=1e-5)
    assert found.likely[0].id == int(expected.argmax())


def test_a_further_question_starts_from_the_kept_pass(live: LiveModel) -> None:
    passes = []
    handle = live.model.blocks[0].mlp.register_forward_hook(lambda *_: passes.append(1))
    try:
        live.answer(TextQuestion(TEXT, ("L2.N3",)))
        assert len(passes) == 1
        again = TextQuestion(TEXT, ("L2.N4",), position=2, edits=(SiteEdit("L2.N3"),))
        live.answer(again)
        assert len(passes) == 1
        live.answer(TextQuestion(TEXT, ("L1.H3",)))
        assert len(passes) == 2
        for text in map(str, range(KEPT_TEXTS)):
            live.answer(TextQuestion(text))
        live.answer(TextQuestion(TEXT))
        assert len(passes) == 2 + KEPT_TEXTS + 1
    finally:
        handle.remove()


def test_a_name_is_looked_up_in_the_model(live: LiveModel) -> None:
    neuron, head = live.site(" l2.n47"), live.site("L0.H3.z")
    assert (neuron.site, neuron.kind, neuron.model) == ("L2.N47", "neuron", live.model.name)
    assert neuron.command == f"needlepoint neuron L2.N47 --model {live.source}"
    assert (head.site, head.kind, head.command) == ("L0.H3", "head", "")
    assert LiveModel(live.model, "smollm2").site("L2.N47").command == "needlepoint neuron L2.N47"
    ranges = "has layers 0 to 2, and in each heads 0 to 3 and neurons 0 to 47"
    for name in ("L3.N1", "L0.H4", "L0.N48"):
        with pytest.raises(UnknownSiteError, match=f"{name} does not exist: .* {ranges}"):
            live.site(name)


def test_codes_are_those_of_the_fitted_dictionary() -> None:
    planted = planted_model()
    model, prompts = planted.model, planted_prompts(planted, n_pairs=24)
    book = fit_codebook(model, prompts)
    n_heads, wanted = model.shape.n_heads, Wanted(heads=frozenset(range(model.shape.n_layers)))
    clean, corrupt = (
        [run_text(model, model.batch([ids]), wanted) for ids in some]
        for some in (prompts.clean_ids[:6], prompts.corrupt_ids[:6])
    )
    for site in model.head_sites():
        for run in clean + corrupt:
            z = run.values(site)[0] - book.offsets[site.layer * n_heads + site.index]
            written = z @ model.head_weights(site.layer)[site.index]
            reading = book.dictionary.read(written[:, None])
            codes = zip(
                reading.codes[0, :, 0].tolist(), reading.silent[0, :, 0].tolist(), strict=True
            )
            assert book.read(run, site, n_heads) == [None if off else one for one, off in codes]
    assert any(book.clean_only)
    assert book.card.n_prompts == 48


def test_a_codebook_has_to_be_fitted_before_it_reads(live: LiveModel) -> None:
    with pytest.raises(DataError, match="no codebook has been fitted on 'induction'"):
        live.answer(TextQuestion(TEXT, ("L1.H2",), codebook="induction"))
    with pytest.raises(UnknownNameError, match="did you mean 'induction'"):
        live.fit_codebook("inductoin")


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        (TextQuestion(""), DataError, "the text is empty"),
        (TextQuestion("a" * 2000), DataError, "2000 tokens; give up to 512"),
        (TextQuestion("a", ("L9.N1",)), UnknownSiteError, "has layers 0 to 2"),
        (TextQuestion("a", ("L1.N999",)), UnknownSiteError, "neurons 0 to 47"),
        (TextQuestion("a", ("<b>",)), UnknownSiteError, "write a neuron as L12.N345"),
        (TextQuestion("a", ("L0.N1",) * 17), DataError, "17 sites are too many"),
        (TextQuestion("a", position=7), DataError, "tokens 0 to 1"),
        (
            TextQuestion("a", edits=(SiteEdit("L0.H1", "corrupt"),)),
            DataError,
            "without a corrupt prompt",
        ),
        (
            TextQuestion("ab", contrast=Contrast("abc", ("a",), ("b",))),
            DataError,
            "clean has 2 tokens, corrupt 3",
        ),
        (
            TextQuestion("ab", contrast=Contrast("ac", ("a",), ("a",))),
            DataError,
            "give two different tokens",
        ),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(
    live: LiveModel, question: TextQuestion, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        live.answer(question)
