"""CoNLL-U comes out as the real text, each word at its characters, each document whole."""

from __future__ import annotations

import conllu
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.features.treebank import of_frame, read_treebank, to_frame

TREEBANK = """\
# newdoc id = first
# sent_id = 1
# text = Don't go (yet).
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=Yes
1\tDo\tdo\tAUX\tVBP\tMood=Imp|VerbForm=Fin\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\tVerbForm=Inf\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\t_\t_\t_\t_\t_\t_
4\t(\t(\tPUNCT\t-LRB-\t_\t5\tpunct\t_\tSpaceAfter=No
5\tyet\tyet\tADV\tRB\t_\t3\tadvmod\t_\tSpaceAfter=No
6\t)\t)\tPUNCT\t-RRB-\t_\t5\tpunct\t_\tSpaceAfter=No
7\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\tSpaceAfter=No

# sent_id = 2
1\tStay\tstay\tVERB\tVB\tMood=Imp\t0\troot\t_\t_

# newpar
# sent_id = 3
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
1\tde\tde\tADP\t_\t_\t3\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_
3\tpain\tpain\tNOUN\t_\tNumber=Sing\t0\troot\t_\t_

# newdoc id = second
# sent_id = 4
1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_

"""


@pytest.fixture
def treebank(tmp_path):
    path = tmp_path / "bank.conllu"
    path.write_text(TREEBANK, encoding="utf-8")
    return path


def test_the_text_is_the_real_one_and_words_stand_where_they_are(treebank):
    first, second = read_treebank(treebank)
    assert (first.document, second.document) == ("first", "second")
    assert first.text == "Don't go (yet).Stay\ndupain"
    words = [first.text[start:end] for start, end in first.spans]
    assert words == ["Do", "n't", "go", "(", "yet", ")", ".", "Stay", "du", "pain"]
    assert first.upos[8] == "ADP", "a contraction that its words do not spell is the first word"
    assert first.sentences.tolist() == [0] * 7 + [1] + [2, 2]
    assert first.last_words().tolist() == [6, 7, 9]
    assert first.deprel[:3] == ("aux", "advmod", "root")
    assert first.feats[0] == "Mood=Imp|VerbForm=Fin"
    assert first.feats[1] == "_"


def test_files_of_a_folder_are_read_in_order_and_unnamed_documents_are_named_by_file(tmp_path):
    line = "1\t{}\t_\tX\t_\t_\t0\troot\t_\t_\n\n"
    (tmp_path / "b.conllu").write_text(
        "# newdoc\n" + line.format("c") + "# newdoc\n1\td" + "\t_" * 8
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.conllu").write_text(line.format("a") + line.format("b"))
    (tmp_path / "notes.txt").write_text("no treebank")
    found = read_treebank(tmp_path)
    assert [(text.document, text.text) for text in found] == [
        ("a", "a b"),
        ("b 1", "c"),
        ("b 2", "d"),
    ]
    assert found[2].upos == ("_",)


def test_what_is_no_treebank_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no treebank; give a CoNLL-U file"):
        read_treebank(tmp_path)
    with pytest.raises(DataError, match="holds no treebank"):
        read_treebank(tmp_path / "absent.conllu")
    bad = tmp_path / "bad.conllu"
    bad.write_text("this is prose\nof two lines\n\n")
    with pytest.raises(DataError, match="is not CoNLL-U"):
        read_treebank(bad)
    bad.write_bytes(b"1\tcaf\xe9\n\n")
    with pytest.raises(DataError, match="is not CoNLL-U"):
        read_treebank(bad)
    bad.write_text("_\tcat\tcat\tNOUN\t_\t_\t0\troot\t_\t_\n\n")
    with pytest.raises(DataError, match="a word has no number"):
        read_treebank(bad)
    bad.write_text("")
    with pytest.raises(DataError, match="has no words"):
        read_treebank(bad)


def test_texts_come_back_from_a_frame(treebank, tmp_path):
    texts = read_treebank(treebank)
    to_frame(texts).to_parquet(tmp_path / "kept.parquet")
    for before, after in zip(
        texts, of_frame(pd.read_parquet(tmp_path / "kept.parquet")), strict=True
    ):
        assert vars(before).keys() == vars(after).keys()
        for name in vars(before):
            same = getattr(before, name) == getattr(after, name)
            assert same if isinstance(same, bool) else same.all()


FORMS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5)


@settings(max_examples=40)
@given(st.lists(st.lists(st.tuples(FORMS, st.booleans()), min_size=1, max_size=6), min_size=1))
def test_any_words_are_found_at_their_characters(tmp_path_factory, sentences):
    blocks = []
    for number, sentence in enumerate(sentences):
        lines = [f"# sent_id = {number}"]
        lines += [
            f"{i}\t{form}\t_\tX\t_\t_\t0\tdep\t_\t{'_' if space else 'SpaceAfter=No'}"
            for i, (form, space) in enumerate(sentence, start=1)
        ]
        blocks.append("\n".join(lines) + "\n\n")
    path = tmp_path_factory.mktemp("any") / "any.conllu"
    path.write_text("".join(blocks), encoding="utf-8")
    parsed = [word["form"] for found in conllu.parse("".join(blocks)) for word in found]
    (text,) = read_treebank(path)
    assert [text.text[start:end] for start, end in text.spans] == parsed
    spaces = [space for sentence in sentences for _, space in sentence]
    gaps = text.spans[1:, 0] - text.spans[:-1, 1]
    assert gaps.tolist() == [int(space) for space in spaces[:-1]]
