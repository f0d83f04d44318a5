from dataclasses import replace

import pytest
import torch

from needlepoint._core.errors import DataError
from needlepoint.models.hooks import record
from needlepoint.models.model import Batch, Model
from needlepoint.models.sites import Part, Site


def every_site(model: Model) -> list[Site]:
    parts = (Part.HEADS, Part.ATTENTION, Part.NEURONS, Part.MLP, Part.RESID, Part.RESID_IN)
    return [Site.of(layer, part) for layer in range(model.shape.n_layers) for part in parts]


def test_a_text_alone_has_the_activations_it_has_in_a_padded_batch(model, texts) -> None:
    together = model.batch(texts)
    with record(model, every_site(model)) as padded:
        model.hidden(together)
    for row, text in enumerate(texts):
        alone = model.batch([text])
        assert bool(alone.mask.all())
        with record(model, every_site(model)) as single:
            model.hidden(alone)
        length = int(together.lengths[row])
        for place, value in single.items():
            torch.testing.assert_close(
                padded[place][row, :length], value[0], rtol=1e-5, atol=1e-5, msg=str(place)
            )


def test_last_logits_are_the_logits_at_each_last_token(model: Model, batch: Batch) -> None:
    everywhere = model.logits(batch)
    expected = torch.stack([everywhere[row, end] for row, end in enumerate(batch.last.tolist())])
    assert len(set(batch.last.tolist())) == 3
    torch.testing.assert_close(model.last_logits(batch), expected, rtol=1e-5, atol=1e-5)
    assert expected.std(-1).min() > 0.3  # a tiny model whose logits say nothing would pass anyway


def test_a_batch_begins_with_the_first_token_and_ends_with_padding(tiny) -> None:
    batch = tiny("llama").batch([[5, 6], [7, 8, 9]])
    assert batch.ids[:, :3].tolist() == [[256, 5, 6], [256, 7, 8]]
    assert batch.mask.tolist() == [[True, True, True, False], [True] * 4]
    assert batch.last.tolist() == [2, 3]
    part = batch.rows(slice(0, 1))
    assert part.ids.shape == (1, 4)
    assert part.lengths.tolist() == [3]


def test_a_model_without_a_first_token_puts_none_in_front(tiny) -> None:
    model = replace(tiny("llama"), first_token=None)
    assert model.prefix == ()
    assert model.batch([[5, 6]]).ids.tolist() == [[5, 6]]


@pytest.mark.parametrize("ids", [[], [[]], [[1], []]])
def test_a_text_without_tokens_is_refused(tiny, ids) -> None:
    with pytest.raises(DataError, match="a text without tokens cannot be read; leave it out"):
        tiny("llama").batch(ids)


def test_a_text_longer_than_the_model_reads_is_refused(model: Model) -> None:
    assert model.batch([[1] * 255]).ids.shape == (1, 256)
    with pytest.raises(DataError, match=r"a text of 257 tokens is too long .* reads 256; cut it"):
        model.batch([[1] * 256])


def test_the_card_says_what_the_model_is(tiny) -> None:
    card = tiny("llama").named("other").card()
    expected = {
        "name": "other",
        "family": "llama",
        "n_layers": 3,
        "n_heads": 4,
        "n_kv_heads": 2,
        "d_model": 32,
        "d_head": 8,
        "d_mlp": 48,
        "dtype": "float32",
        "first_token": "<|endoftext|>",
    }
    assert expected.items() <= card.items()
    assert tiny("llama").shape.n_neurons == 3 * 48
