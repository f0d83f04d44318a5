"""What is planted is there, and nothing else is."""

import pytest
import torch
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.models.check import check_model
from needlepoint.models.hooks import record, replace
from needlepoint.models.model import Model
from needlepoint.models.planted import PlantedModel, planted_model, planted_prompts
from needlepoint.models.planted_parts import GAIN, LETTERS
from needlepoint.models.sites import Part, Site
from needlepoint.tasks.pairs import Prompts


@pytest.fixture(scope="module", params=[0, 1])
def planted(request: pytest.FixtureRequest) -> PlantedModel:
    return planted_model(seed=request.param)


@pytest.fixture(scope="module")
def prompts(planted: PlantedModel) -> Prompts:
    return planted_prompts(planted, n_pairs=64)


def differences(model: Model, prompts: Prompts, ids) -> Tensor:
    logits = model.last_logits(model.batch(ids))
    right, wrong = (torch.tensor(ids) for ids in (prompts.answer_ids, prompts.wrong_ids))
    return (logits.gather(1, right) - logits.gather(1, wrong))[:, 0]


def head_effects(model: Model, prompts: Prompts) -> dict[Site, Tensor]:
    """Change of the logit difference when one head says what it says on the corrupt prompt."""
    with record(model, model.head_sites()) as corrupt:
        model.hidden(model.batch(prompts.corrupt_ids))
    plain = differences(model, prompts, prompts.clean_ids)
    effects = {}
    for head, z in corrupt.items():
        with replace(model, {head: z}):
            effects[head] = differences(model, prompts, prompts.clean_ids) - plain
    return effects


def test_the_two_heads_have_the_effect_and_no_other_head_has_any(planted, prompts) -> None:
    effects = head_effects(planted.model, prompts)
    assert len(effects) == 18
    for head, effect in effects.items():
        if head in planted.heads:
            assert effect.max() < -0.9 * GAIN, str(head)
        else:
            assert effect.abs().max() < 1e-4, str(head)


def test_distractors_write_as_much_and_change_as_much(planted, prompts) -> None:
    """The size of what a head writes does not give the circuit away, nor does its change."""
    model = planted.model
    outs = [Site.of(head.layer, Part.HEAD_OUT, head.index) for head in model.head_sites()]
    clean, corrupt = model.batch(prompts.clean_ids), model.batch(prompts.corrupt_ids)
    with record(model, outs) as one:
        model.hidden(clean)
    with record(model, outs) as other:
        model.hidden(corrupt)
    sizes = {out: one[out][clean.mask].norm(dim=-1).mean().item() for out in outs}
    changes = {out: (one[out] - other[out])[clean.mask].norm(dim=-1).mean().item() for out in outs}
    true = {Site.of(head.layer, Part.HEAD_OUT, head.index) for head in planted.heads}
    for head in set(outs) - true:
        assert 0.5 < sizes[head] < 3.0
        assert 0.3 < changes[head] < 3.0
    assert max(changes[head] for head in set(outs) - true) > max(changes[head] for head in true)


def test_the_two_heads_alone_do_it(planted, prompts) -> None:
    """All others, and all neurons, say what they say on the corrupt prompt: nothing is lost."""
    model = planted.model
    neurons = [Site.of(layer, Part.NEURONS) for layer in range(model.shape.n_layers)]
    rest = [head for head in model.head_sites() if head not in planted.heads] + neurons
    with record(model, rest) as corrupt:
        model.hidden(model.batch(prompts.corrupt_ids))
    with replace(model, dict(corrupt)):
        alone = differences(model, prompts, prompts.clean_ids)
    torch.testing.assert_close(alone, differences(model, prompts, prompts.clean_ids))


def test_the_model_is_right_on_clean_prompts_and_at_chance_on_corrupt_ones(planted, prompts):
    model, answers = planted.model, torch.tensor(prompts.answer_ids)[:, 0]
    clean = model.last_logits(model.batch(prompts.clean_ids)).argmax(-1)
    corrupt = model.last_logits(model.batch(prompts.corrupt_ids)).argmax(-1)
    assert (clean == answers).float().mean() > 0.99
    assert (corrupt == answers).float().mean() < 0.1
    assert differences(model, prompts, prompts.clean_ids).min() > 0.5 * GAIN
    right = (differences(model, prompts, prompts.corrupt_ids) > 0).float().mean()
    assert 0.3 < right < 0.7  # 64 coins: outside once in a thousand


def test_a_head_looks_where_its_role_says(planted, prompts) -> None:
    model = planted.model
    seen: list[Tensor] = []
    handles = [
        block.attention.register_forward_hook(lambda _, __, out: seen.append(out[1]))
        for block in model.blocks
    ]
    batch = model.batch(prompts.clean_ids)
    model.hidden(batch)
    for handle in handles:
        handle.remove()
    before, after = (seen[head.layer][:, head.index] for head in planted.heads)
    steps = before.diagonal(-1, dim1=1, dim2=2)
    assert steps.min() > 0.99
    rows = torch.arange(prompts.n_pairs)
    match = torch.tensor(prompts.positions["match"]) + 1  # after the first token
    assert after[rows, batch.last, match].min() > 0.99


def test_of_several_occurrences_the_last_one_counts(planted) -> None:
    model, encoder = planted.model, planted.model.encoder
    texts = {"q x 7 b x m q q x": "m", "k k k 5 k": "5", "a b a c a d a b": "a", "z y z": "y"}
    for text, expected in texts.items():
        best = model.last_logits(model.batch([encoder.encode(text)])).argmax(-1)
        assert encoder.pieces(best.tolist()) == [expected], text


def test_it_predicts_along_long_random_texts(planted) -> None:
    """Wherever the present token has occurred, the best guess is what followed it last time."""
    rng = torch.Generator().manual_seed(9)
    rows = torch.randint(1, 37, (8, 60), generator=rng)
    best = planted.model.logits(planted.model.batch(rows.tolist()))[:, 1:].argmax(-1)
    hits = []
    for row, guesses in zip(rows.tolist(), best.tolist(), strict=True):
        for place, token in enumerate(row):
            earlier = [i for i in range(place) if row[i] == token]
            if earlier:
                hits.append(guesses[place] == row[earlier[-1] + 1])
    assert len(hits) > 200
    assert sum(hits) / len(hits) > 0.98


def test_the_seed_places_the_heads_and_is_all_that_decides() -> None:
    one, again, others = (
        planted_model(),
        planted_model(),
        [planted_model(seed=s) for s in (1, 2, 3)],
    )
    assert one.heads == again.heads
    for key, value in one.model.module.state_dict().items():
        assert torch.equal(value, again.model.module.state_dict()[key])
    assert len({one.heads, *(other.heads for other in others)}) > 1
    roles = ["previous token", "induction"]
    for found in (one, *others):
        assert [head.layer for head in found.heads] == [0, 1]
        assert [found.roles[head] for head in found.heads] == roles


def test_it_is_read_rightly(planted) -> None:
    assert all(check.passed for check in check_model(planted.model))
    assert planted.model.prefix == (0,)


def test_other_sizes_work(texts) -> None:
    small = planted_model(n_heads=2, n_layers=2)
    effects = head_effects(small.model, planted_prompts(small, n_pairs=8))
    assert {head for head, effect in effects.items() if effect.mean() < -1} == set(small.heads)


@pytest.mark.parametrize(("n_layers", "n_heads"), [(1, 6), (2, 0)])
def test_a_model_too_small_for_the_circuit_is_refused(n_layers, n_heads) -> None:
    with pytest.raises(DataError, match="needs 2 layers and 1 head in each"):
        planted_model(n_layers=n_layers, n_heads=n_heads)


def test_corrupt_prompts_lack_what_the_circuit_needs(planted, prompts) -> None:
    for pair in prompts.pairs:
        clean, corrupt = pair.clean.split(), pair.corrupt.split()
        assert len(clean) == len(corrupt)
        assert clean[10:] == corrupt[10:]
        assert not set(clean[:10]) & set(corrupt[:10])
        assert clean[len(clean) - 10] == pair.answer
        assert clean[:10].count(pair.answer) == clean[:10].count(pair.wrong) == 1
        assert not {pair.answer, pair.wrong} & {*corrupt, *clean[10:]}
    assert len(set(prompts.lengths)) > 3
    assert prompts.sha256 == planted_prompts(planted, n_pairs=64).sha256
    assert prompts.sha256 != planted_prompts(planted, n_pairs=64, seed=1).sha256


@pytest.mark.parametrize("half", [3, len(LETTERS) // 2 + 1])
def test_sequences_that_do_not_fit_are_refused(planted, half) -> None:
    with pytest.raises(DataError, match=f"half is {half}; it must be from 4 to 18"):
        planted_prompts(planted, half=half)


def test_the_longest_sequences_work(planted) -> None:
    longest = planted_prompts(planted, n_pairs=4, half=18)
    assert differences(planted.model, longest, longest.clean_ids).min() > 0.5 * GAIN
