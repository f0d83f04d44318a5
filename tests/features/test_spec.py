"""A collection's options are checked before anything is loaded, and handed on."""

from __future__ import annotations

import pytest

from needlepoint._core.errors import DataError
from needlepoint.features.collection import Card
from needlepoint.features.spec import CollectionSpec


def spec(*sources: str) -> tuple[CollectionSpec, list[dict[str, object]]]:
    asked: list[dict[str, object]] = []

    def load(encoder, *, n_per_feature, n_tokens, seed, source):
        asked.append(locals())
        raise DataError("loaded")

    card = Card("toy", "Toy", "d", "s", "MIT", "by hand", (), "none")
    return CollectionSpec(card, ("a",), load, n_tokens=32, sources=sources), asked


def test_defaults_are_the_first_source_and_the_collections_own_length(encoder):
    made, asked = spec("packages", "hub")
    with pytest.raises(DataError, match="loaded"):
        made(encoder)
    assert {name: asked[0][name] for name in ("n_per_feature", "n_tokens", "seed", "source")} == {
        "n_per_feature": 200,
        "n_tokens": 32,
        "seed": 0,
        "source": "packages",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_per_feature": 5}, "n_per_feature is 5; it must be at least 6"),
        ({"n_tokens": 3}, "n_tokens is 3; it must be at least 4"),
        ({"source": "disk"}, "toy has no source 'disk'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_loaded(encoder, options, message):
    made, asked = spec("packages", "hub")
    with pytest.raises(DataError, match=message):
        made(encoder, **options)
    assert not asked


def test_a_path_is_handed_on_where_the_collection_takes_one(encoder, tmp_path):
    made, asked = spec("packages", "path")
    with pytest.raises(DataError, match="loaded"):
        made(encoder, source=str(tmp_path))
    assert asked[0]["source"] == str(tmp_path)
