"""What `features list` and `features show` print."""

from __future__ import annotations

import pytest

from needlepoint.cli.features import MANY, SOME
from needlepoint.features import COLLECTIONS


def test_the_list_names_every_collection_and_downloads_nothing(cli, monkeypatch, no_load) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr("needlepoint._core.packages.fetch", refuse)
    done = cli("features", "list")
    assert (done.status, done.err) == (0, "")
    for name in COLLECTIONS:
        spec = COLLECTIONS[name]
        assert f"\n{name}: {spec.card.title}\n" in done.out
        assert f"  features {len(spec.features)} (" in done.out
    total = sum(len(COLLECTIONS[name].features) for name in COLLECTIONS)
    assert f"{total} features in {len(COLLECTIONS)} collections." in done.out
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.fixture
def spans(place):
    path = place / "spans.jsonl"
    lines = [
        f'{{"text": "the {animal} number {i} sat", "spans": [[4, {4 + len(animal)}, "animal"]]}}'
        for i in range(8)
        for animal in ("cat", "horse")
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_is_shown_with_its_labels_marked(cli, tiny_folder, spans, no_load) -> None:
    done = cli("features", "show", spans, "animal", "--model", tiny_folder, "--n", 4)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("spans: spans\n")
    counts = next(line for line in done.out.splitlines() if line.split()[:1] == ["animal"])
    assert counts.split()[1] == str(8 * 3 + 8 * 5)
    with_it = [line for line in done.out.splitlines() if line.startswith("  + ")]
    without = [line for line in done.out.splitlines() if line.startswith("  - ")]
    assert len(with_it) == len(without) == 4
    for line in with_it:
        before, rest = line[4:].split("»")
        marked, after = rest.split("«")
        assert marked in "cathorse"
        assert any(f"{before}{marked}{after}".startswith(f"the {a} num") for a in ("cat", "horse"))


def test_bad_questions_are_one_sentence(cli, tiny_folder, spans, no_load) -> None:
    model = ("--model", tiny_folder)
    assert (
        "did you mean 'programming_language'"
        in cli("features", "show", "programing_language", *model).sentence
    )
    assert "feature of" in cli("features", "show", spans, "plant", *model).sentence
    assert cli("features", "show", spans, *model, "--source", "hub").sentence.endswith(
        "is the source itself; leave out --source."
    )
    name = "programming_language"
    sentence = cli("features", "show", name, "--source", "nowhere", *model).sentence
    assert sentence.startswith(f"{name} has no source 'nowhere'; it has ")
    assert cli("features", "show", spans, "--n", -1, *model).sentence == (
        "n is -1; it must be at least 0."
    )


def test_of_many_features_only_some_are_sampled(cli, tiny_folder, place, no_load) -> None:
    path = place / "many.csv"
    rows = [f"word {i} of {n},f{i}" for i in range(MANY + 1) for n in range(3)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    done = cli("features", "show", path, "--model", tiny_folder)
    assert done.out.count(", marked »like this«") == SOME
    assert f"Samples of {SOME} of {MANY + 1} features." in done.out
    named = cli("features", "show", path, "f7", "f9", "--model", tiny_folder)
    assert named.out.count(", marked »like this«") == 2
    assert "Name others" not in named.out
