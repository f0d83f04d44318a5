"""The page of a dossier, from a run folder written by hand of a tiny model's dossier."""

import re

import numpy as np
import pytest

from needlepoint._core.records import RunFolder
from needlepoint.evaluation.dossier.config import DossierConfig
from needlepoint.evaluation.dossier.corpus import Texts
from needlepoint.evaluation.dossier.find import write_dossier
from needlepoint.report import build_report
from needlepoint.report.neuron_section import gram_sentence, neuron_section
from needlepoint.report.tables import CellTables
from needlepoint.testing.tiny import tiny_model


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    model = tiny_model("llama")
    draw = np.random.default_rng(0)
    ids = tuple(tuple(draw.integers(32, 120, size=24).tolist()) for _ in range(16))
    texts = Texts(ids, tuple(f"<b>doc {number}" for number in range(16)), "random bytes")
    config = DossierConfig(("L1.N3", "L0.N2"), ablate_texts=3, random_neurons=2)
    study = write_dossier(model, texts, None, config)
    folder = RunFolder.create(tmp_path_factory.mktemp("neuron") / "run", kind="neuron", config={})
    folder.update(model=model.card())
    study.save(folder)
    folder.finish()
    return folder


def test_there_is_a_part_for_each_neuron_with_all_its_pieces(run) -> None:
    (record,) = run.records()
    section = neuron_section("s0", record.summary, CellTables(run, record))
    assert [neuron.site for neuron in section.neurons] == ["L1.N3", "L0.N2"]
    ids = [block.id for block in section.blocks]
    assert len(ids) == len(set(ids))
    for neuron in section.neurons:
        assert neuron.mistakes is None
        kinds = dict(neuron.excerpts.kinds())
        assert len(kinds["strongest"]) == 6
        tokens = [text.tokens[place] for text, place, _ in kinds["strongest"]]
        values = [abs(token.activation) for token in tokens]
        assert values == sorted(values, reverse=True)


def test_every_figure_draws_and_says_what_it_shows(run) -> None:
    (record,) = run.records()
    section = neuron_section("s0", record.summary, CellTables(run, record))
    for block in section.blocks:
        for _, display in getattr(block, "choices", ()):
            assert display.figure().to_dict()["data"]
            assert "nan" not in display.alt()
            assert len(display.frame())


def test_the_page_is_whole_and_strangers_text_stays_text(run) -> None:
    text = build_report(run.path).read_text()
    assert "Dossier: L1.N3-L0.N2" in text
    assert "not defined: a neuron of a gated MLP" in text
    body = text[text.index('<main id="main">') : text.index("</main>")]
    assert "<b>doc" not in body
    assert not re.search(r">\s*(nan|None)\s*<", body)


def test_nothing_told_is_said() -> None:
    grams = {"n_firing": 3, "n_told": 0, "n_documents": 2}
    assert gram_sentence(grams).endswith("so nothing can be told; read more texts.")
