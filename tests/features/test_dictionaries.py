"""Entries are found by headword; their senses are in order and complete."""

from __future__ import annotations

from needlepoint.features.dictionaries import MIN_SENSES, dict_entries, wordnet_entries


def test_a_word_has_its_senses_of_all_parts_of_speech_in_order():
    noun = "".join(f'0000001{i} 03 n 01 run 0 000 | noun {i}; "a run"  \n' for i in range(4))
    verb = "".join(f"0000002{i} 30 v 01 run 0 000 | verb {i}  \n" for i in range(3))
    files = {
        "data.noun": "  1 This software is licensed | no gloss\n" + noun,
        "data.verb": verb,
        "index.noun": "run n 4 0 4 2 00000012 00000010 00000011 00000013  \n"
        "rare n 1 0 1 0 00000010  \ntwo_words n 1 0 1 0 00000010  \n",
        "index.verb": "run v 3 1 @ 3 1 00000020 00000021 00000022  \n",
    }
    [(word, entry)] = wordnet_entries(files)
    assert word == "run"
    lines = entry.split("\n")
    assert len(lines) == 7 >= MIN_SENSES
    assert lines[0] == 'run (noun) 1. noun 2; "a run"'
    assert lines[4] == "run (verb) 1. verb 0"


def test_entries_of_a_dict_file_lose_marks_and_its_own_notices():
    text = (
        "00-database-info\n   About {this} file.\n\nape\nmonkey\n\n"
        "   <zoology, animal> A {primate}\n   < of\n   some kind.\n\n   (1999-01-02)\n"
    )
    assert list(dict_entries(text)) == [("monkey", "A primate\n< of\nsome kind.")]
