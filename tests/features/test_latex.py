"""Tokens of LaTeX are labelled by their region; documents that do not balance are left out."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile

import numpy as np
import pytest

from needlepoint._core.errors import DataError
from needlepoint._core.packages import Package
from needlepoint.features import latex, pile

BODY = r"""
We study $x^{%d}$ and $y_{n} = a_{i}^{2}$ as \citet{smith%d} did.
\begin{equation}
  \frac{a + b}{c + d} = \frac{1}{2} z^{2}
\end{equation}
Nothing more is known of this case, and nothing is said of it here by us.
"""


def document(i):
    head = f"\\documentclass{{article}}\n\\title{{On the case {i}}}\n\\author{{A. Writer}}\n"
    head += "\\begin{document}\n\\begin{abstract}\nWe look at a case.\n\\end{abstract}\n"
    return head + "".join(BODY % (i, j) for j in range(9)) + "\\end{document}\n"


@pytest.fixture
def folder(tmp_path):
    for i in range(12):
        (tmp_path / f"{i}.tex").write_text(document(i))
    (tmp_path / "broken.tex").write_text(document(1) + "$")
    (tmp_path / "short.tex").write_text("$x$")
    return tmp_path


def load(encoder, source, **options):
    settled = {"n_per_feature": 12, "n_tokens": 400, "source": str(source)}
    return latex.SPEC(encoder, **settled | options)


def test_a_folder_gives_every_feature_on_its_tokens(encoder, folder):
    found = load(encoder, folder)
    assert found.features == latex.FEATURES
    assert {name.split(".")[0] for name in found.documents} <= set(map(str, range(12)))
    counts = found.counts().set_index("feature")
    assert (counts["positives"] == 12).all()
    assert (counts["negatives"] == 36).all()
    for name, inside in (("start_math", "$\\begin{equation}"), ("is_numerator", "a + b1")):
        column = found.features.index(name)
        for row in found.rows_of(name):
            if found.labels[row, column]:
                text, start, end = found.rows[row]
                piece = encoder.pieces(list(found.ids[text][start:end]))[0]
                assert set(piece) & set(inside), (name, piece)
    assert found.rows[:, 1].min() >= latex.SKIP
    assert found.sha256 == load(encoder, folder).sha256
    assert set(found.card.shortfalls) == set(latex.FEATURES)  # 12 documents are fewer than 20


def test_nothing_is_asked_of_the_preamble_but_of_its_title():
    one = latex.Document("d", document(1), latex.latex_regions(document(1)))
    first, *_ = latex.stretches(one, 400)
    asked = [first.text[a:b] for a, b in first.spans]
    assert asked[:2] == ["On the case 1", "A. Writer"]
    assert not any("documentclass" in part for part in asked)
    whole = "".join(text.text for text in latex.stretches(one, 20_000))
    assert whole in document(1)


def test_stretches_of_long_documents_are_spread():
    text = "\\section{A}\n" + "some words here $x$.\n" * 3000
    one = latex.Document("d", text, latex.latex_regions(text))
    parts = list(latex.stretches(one, 64))
    assert len(parts) == latex.MOST
    assert parts[0].text.startswith("\\section")
    assert text.endswith(parts[-1].text)


def test_packages_are_read_once(encoder, own_cache, tmp_path, monkeypatch):
    archive = tmp_path / "made.tar"
    with tarfile.open(archive, "w") as tar:
        for i in range(12):
            for place in ("doc", "tests"):
                content = document(i).encode()
                info = tarfile.TarInfo(f"usr/lib/made/{place}/{i}.Rnw")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    fetched = []
    monkeypatch.setattr(latex, "VIGNETTES", (Package("made", "1", "0" * 64, kind="deb"),))
    monkeypatch.setattr(latex, "fetch", lambda package: fetched.append(package) or archive)
    found = load(encoder, "packages")
    assert load(encoder, "packages").sha256 == found.sha256
    assert len(fetched) == 1
    assert set(found.documents) <= {f"made/{i}.Rnw" for i in range(12)}


def test_the_hub_gives_papers_of_arxiv(encoder, tmp_path, monkeypatch):
    rows = [{"text": document(i), "meta": {"pile_set_name": "ArXiv"}} for i in range(12)]
    rows.append({"text": document(0), "meta": {"pile_set_name": "Github"}})
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(pile, "PILE", dataclasses.replace(pile.PILE, repo=str(tmp_path)))
    found = load(encoder, "hub")
    assert set(found.documents) <= {f"pile/{i}" for i in range(12)}
    assert list(pile.pile_documents(n=3)) == [(f"pile/{i}", document(i)) for i in range(3)]


def test_what_is_no_folder_of_papers_is_refused(encoder, tmp_path):
    with pytest.raises(DataError, match="has no whole LaTeX document of 2000 characters"):
        load(encoder, tmp_path)
    with pytest.raises(DataError, match="is no folder; give one of"):
        load(encoder, tmp_path / "none")


def test_every_package_is_pinned_and_for_any_machine():
    assert all(len(one.sha256) == 64 and one.licence for one in latex.VIGNETTES)
    assert np.unique([one.name for one in latex.VIGNETTES]).size == len(latex.VIGNETTES)
