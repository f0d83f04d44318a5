"""What `needlepoint tasks` lists, shows and checks, and what it refuses in one sentence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from needlepoint.cli.tasks import mark_positions
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.planted import planted_prompts
from needlepoint.models.word_tokenizer import word_tokenizer
from needlepoint.tasks import TASKS
from needlepoint.tasks.ioi_templates import TEMPLATES
from needlepoint.tasks.pairs import Pair, pair_prompts
from needlepoint.tasks.word_lists import NAMES, OBJECTS, PLACES


def flat(text: str) -> str:
    return " ".join(text.split())


def narrow(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_the_list_has_every_task_with_what_it_needs(cli) -> None:
    shown = cli("tasks", "list")
    assert (shown.status, shown.err) == (0, "")
    assert narrow(shown.out)
    out = flat(shown.out)
    for name in TASKS:
        task = TASKS[name]
        start = out.index(f"{name}: {task.title}")
        block = out[start:]
        assert f"corruption {next(iter(task.corruptions))}" in block
        assert task.metric in block
        assert flat(f"source: {task.source}") in block
        for circuit in task.circuits:
            assert f"{len(circuit.heads)} heads" in block
            assert circuit.model in block


@pytest.mark.parametrize("command", ["list", "show", "check"])
def test_each_command_has_help_with_an_example(cli, command) -> None:
    shown = cli("tasks", command, "--help")
    assert (shown.status, shown.err) == (0, "")
    assert f"  needlepoint tasks {command}" in shown.out
    assert narrow(shown.out)
    for noise in ("--no-", "--empty-", "None", "()", "[default: ]"):
        assert noise not in shown.out


@pytest.fixture
def planted_encoder(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted tokenizer under every name; loading weights is a failure of the test."""
    encoder = planted.model.encoder
    monkeypatch.setattr("needlepoint.models.load.load_encoder", lambda *_, **__: encoder)


@pytest.mark.usefixtures("no_load", "planted_encoder", "nothing_left")
@pytest.mark.parametrize("pairs", [1, 3])
def test_pairs_of_a_file_are_shown_without_loading_weights(cli, induction, pairs) -> None:
    shown = cli("tasks", "show", induction, "--pairs", pairs)
    assert (shown.status, shown.err) == (0, "")
    lines = [json.loads(line) for line in Path(induction).read_text().splitlines()]
    for place, pair in enumerate(lines[:4]):
        assert (pair["clean"] in shown.out) == (place < pairs)
    assert shown.out.count("\nclean ") == shown.out.count("\ncorrupt ") == pairs
    first = lines[0]
    assert f"answer   {first['answer']!r}    wrong   {first['wrong']!r}" in shown.out


def ioi_encoder() -> TokenizerEncoder:
    """A tokenizer with one token for each word of the task, alone and before a sign."""
    templates = " ".join(TEMPLATES)
    words = re.sub(r"\{\w+\}", " ", templates).split()
    signs = {"", *re.findall(r"\{\w+\}(\S+)", templates)}
    filled = [f"{word}{sign}" for word in (*NAMES, *PLACES, *OBJECTS) for sign in sorted(signs)]
    return TokenizerEncoder(word_tokenizer(tuple(dict.fromkeys([*words, *filled]))))


def test_a_built_in_task_is_shown_with_its_card(cli, monkeypatch) -> None:
    """The card is that of the registry; the prompts are made for the tokenizer at hand."""
    monkeypatch.setattr("needlepoint.models.load.load_encoder", lambda *_, **__: ioi_encoder())
    shown = cli("tasks", "show", "ioi", "--corruption", "swap", "--pairs", 2)
    assert (shown.status, shown.err) == (0, "")
    task, out = TASKS["ioi"], flat(shown.out)
    assert out.startswith(f"ioi: {task.title} {flat(task.description)}")
    for name, words_ in task.corruptions.items():
        assert flat(f"{name}: {words_}") in out
    assert "corruption 'swap'" in out
    for circuit in task.circuits:
        assert f"Known circuit of {circuit.model}, list {circuit.variant!r}: source: " in out
        assert flat(circuit.source) in out
        for dispute in circuit.disputes:
            assert flat(f"disputed: {dispute}") in out
    clean, corrupt = re.findall(r"^(?:clean|corrupt) +(.*)$", shown.out, flags=re.M)[:2]
    answer = re.search(r"answer   ' (\w+)'    wrong   ' (\w+)'", shown.out)
    assert answer is not None
    io, s = answer.groups()
    for name, word in (("io", io), ("s1", s), ("s2", s)):
        assert f"[{name}: {word}" in clean
    assert f"[s2: {io}" in corrupt
    assert clean.endswith("]")


def test_marks_stand_on_their_tokens_and_change_nothing_else(planted) -> None:
    prompts = planted_prompts(planted, n_pairs=12)
    encoder = planted.model.encoder
    for index, pair in enumerate(prompts.pairs):
        for text, ids in ((pair.clean, prompts.clean_ids), (pair.corrupt, prompts.corrupt_ids)):
            marked = mark_positions(prompts, encoder, index, text)
            found = dict(re.findall(r"\[(\w+): (\w+)\]", marked))
            for name, places in prompts.positions.items():
                (token,) = encoder.pieces([ids[index][places[index]]])
                assert found[name] == token
            assert re.sub(r"\[\w+: (\w+)\]", r"\1", marked) == text
    index = 0
    answer = prompts.pairs[index].answer
    marked = mark_positions(prompts, encoder, index, prompts.pairs[index].clean)
    assert f"[match: {answer}]" in marked


def test_two_names_of_one_token_are_one_mark(planted) -> None:
    prompts = planted_prompts(planted, n_pairs=2)
    both = replace(prompts, positions={"a": (1, 1), "b": (1, 1), "end": prompts.positions["end"]})
    text = prompts.pairs[0].clean
    marked = mark_positions(both, planted.model.encoder, 0, text)
    assert marked.startswith(f"{text[0]} [a, b: {text[2]}] ")


def test_a_leading_space_stays_outside_its_mark() -> None:
    class Pieces:
        """Tokens that begin with the space before a word, as in byte-level tokenizers."""

        def encode(self, text: str) -> list[int]:
            return self.encode_with_offsets(text)[0]

        def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
            spans = [found.span() for found in re.finditer(r" ?[^ ]+", text)]
            return [hash(text[a:b]) % 2**31 for a, b in spans], spans

        def pieces(self, ids: list[int]) -> list[str]:
            return [str(index) for index in ids]

    labels = {"task": "t", "description": "d", "question": "q?", "corruption": "c"}
    pairs = [Pair("one two three", "one six three", " a", " b")] * 2
    prompts = pair_prompts(pairs, Pieces(), positions={"it": (1, 1)}, **labels)
    assert mark_positions(prompts, Pieces(), 0, "one two three") == "one [it: two] three"


@pytest.mark.usefixtures("planted_loads", "nothing_left")
def test_tasks_are_checked_in_a_table_with_reasons(cli, induction, tmp_path) -> None:
    uneven = tmp_path / "uneven.jsonl"
    line = {"clean": "a b c", "corrupt": "a b", "answer": "d", "wrong": "e"}
    uneven.write_text(2 * (json.dumps(line) + "\n"))
    shown = cli("tasks", "check", induction, uneven, "--pairs", 30)
    assert (shown.status, shown.err) == (0, "")
    table, reasons = flat(shown.out).split("Fit for circuit search?")
    assert table.startswith("Tasks on planted ")
    assert re.search(r"induction 30 0\.50 1\.00 0\.\d\d \+\d\.\d\d ", table)
    assert re.search(r"\+\d\.\d\d to \+\d\.\d\d", table), "the interval"
    assert "- - - - - -" in table, "what could not be measured is a dash and never zero"
    assert "yes induction: Right on 100% of clean prompts, and the corruption lowers" in reasons
    assert "uneven.jsonl: pair 1 (line 1 of" in reasons
    assert "clean has 3 tokens, corrupt 2; make them equal" in reasons


@pytest.mark.usefixtures("nothing_left")
def test_a_model_that_knows_nothing_is_fit_for_nothing(cli, tiny_folder, tmp_path) -> None:
    path = tmp_path / "letters.jsonl"
    lines = [
        {"clean": f"say {a}{b}", "corrupt": f"say {b}{a}", "answer": a, "wrong": b}
        for a in "abcd"
        for b in "wxyz"
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = cli("tasks", "check", path, "ioi", "--model", tiny_folder, "--pairs", 16)
    assert (shown.status, shown.err) == (0, "")
    assert narrow(shown.out)
    reasons = flat(shown.out).split("Fit for circuit search?")[1]
    assert "no letters: " in reasons
    assert "no ioi: the tokenizer holds 0 of" in reasons
    assert "yes " not in reasons


@pytest.mark.usefixtures("no_load", "nothing_left")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "iio"], "unknown task 'iio': did you mean 'ioi'? Known: "),
        (["show", "ioi", "--corruption", "swop"], "unknown corruption of ioi 'swop': did you mean"),
        (["show", "none.jsonl"], "none.jsonl does not exist; check the path."),
        (["show", "ioi", "--pairs", "0"], "--pairs is 0; it must be at least 1."),
        (["check", "ioi", "inductoin"], "unknown task 'inductoin': did you mean 'induction'?"),
        (["check", "--pairs", "1"], "--pairs is 1; it must be at least 2."),
        (["check", "--pairs", "x"], "--pairs: 'x' is not a whole number."),
        (["shwo"], "shwo"),
        (["show"], "NAME"),
    ],
)
def test_wrong_input_is_one_sentence_before_anything_is_loaded(cli, arguments, words) -> None:
    assert words in cli("tasks", *arguments).sentence


@pytest.mark.usefixtures("no_load", "nothing_left")
def test_a_circuit_of_another_corruption_is_asked_for_by_name(cli, induction) -> None:
    sentence = cli("circuit", "--corruption", "abd").sentence
    assert "unknown corruption of ioi 'abd': did you mean 'abc'? Known: " in sentence
    sentence = cli("circuit", "--task", induction, "--corruption", "abc").sentence
    assert "has its corrupt prompts written out; leave the corruption 'abc' away." in sentence
