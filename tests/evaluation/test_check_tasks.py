"""A task is fit for the model that was built to do it, and for no model that knows nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from needlepoint._core.errors import DataError, UnknownNameError
from needlepoint.circuits.metric import Answers
from needlepoint.evaluation import check_tasks as module
from needlepoint.evaluation.check_tasks import TaskFigures, UnmadeTask, check_task, check_tasks
from needlepoint.models.model import Model
from needlepoint.models.planted import planted_prompts
from needlepoint.tasks.pairs import Pair, Prompts, pair_prompts
from needlepoint.testing.tiny import tiny_model


@pytest.fixture(scope="module")
def prompts(planted) -> Prompts:
    return planted_prompts(planted, n_pairs=40)


def random_pairs(model: Model, n_pairs: int = 40) -> Prompts:
    """Prompts of bytes that no random model can know the answers of."""
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randint(97, 123, (n_pairs, 12), generator=rng).tolist()
    pairs = []
    for row in drawn:
        text = "".join(map(chr, row))
        right, wrong = chr(65 + row[0] % 13), chr(78 + row[1] % 13)
        pairs.append(Pair(text[:6], text[6:], right, wrong))
    labels = {"description": "d", "question": "q?", "corruption": "c"}
    return pair_prompts(pairs, model.encoder, task="letters", **labels)


def test_the_planted_model_does_its_task(planted, prompts) -> None:
    found = check_task(planted.model, prompts)
    assert found.fit
    assert (found.task, found.n_pairs) == ("planted induction", 40)
    assert found.lengths == (min(prompts.lengths), max(prompts.lengths))
    assert found.n_answers == (1, 1)
    measured = found.behaviour
    assert measured.accuracy_clean.estimate == 1
    assert 0.2 < measured.accuracy_corrupt.estimate < 0.8
    assert measured.metric_clean.low > 5
    assert measured.chance == 0.5
    assert found.reason.startswith("Right on 100% of clean prompts, and the corruption lowers the")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_random_model_does_not(seed) -> None:
    model = tiny_model("llama", seed=seed)
    found = check_task(model, random_pairs(model))
    assert not found.fit
    assert not found.reason.startswith("Right on 100%")
    assert found.reason.count(".") == 1, "one sentence"
    assert found.reason[0].isupper()


def test_figures_are_those_of_each_prompt_alone(planted, prompts) -> None:
    few = prompts.first(6)
    answers = Answers.of(few)
    with torch.no_grad():
        logits = [planted.model.last_logits(planted.model.batch([ids])) for ids in few.clean_ids]
    metric = answers(torch.cat(logits))
    found = check_task(planted.model, few).behaviour
    assert found.metric_clean.estimate == pytest.approx(metric.mean().item(), rel=1e-4)


def test_a_corruption_that_takes_nothing_away_makes_it_unfit(planted, prompts) -> None:
    same = replace(prompts, corrupt_ids=prompts.clean_ids)
    found = check_task(planted.model, same)
    assert not found.fit
    assert found.reason == "The corruption does not lower the logit difference."


def test_wrong_answers_are_not_a_behaviour(planted, prompts) -> None:
    turned = replace(prompts, answer_ids=prompts.wrong_ids, wrong_ids=prompts.answer_ids)
    reason = check_task(planted.model, turned).reason
    assert reason.startswith("Right on 0% of clean prompts, and 60% are needed; the logit")


def test_few_pairs_are_not_searched(planted, prompts) -> None:
    found = check_task(planted.model, prompts.first(4))
    assert not found.fit
    assert found.reason == "There are 4 pairs, and 8 are needed."


def test_probabilities_are_named_and_chance_follows_the_answers(planted, prompts) -> None:
    more = [tuple({*wrong, wrong[0] % 30 + 2} - set(right)) for right, wrong in answers(prompts)]
    several = replace(prompts, wrong_ids=tuple(more), metric="probability difference")
    found = check_task(planted.model, several)
    assert found.behaviour.metric == "probability difference"
    assert "lowers the probability difference from +" in found.reason
    assert found.behaviour.metric_clean.high <= 1
    assert 1 / 3 <= found.behaviour.chance < 0.5


def answers(prompts: Prompts) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return list(zip(prompts.answer_ids, prompts.wrong_ids, strict=True))


def test_the_seed_decides_the_interval_and_not_the_estimate(planted, prompts) -> None:
    one, again, other = (check_task(planted.model, prompts, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.behaviour.metric_clean.estimate == other.behaviour.metric_clean.estimate
    assert one.behaviour != other.behaviour


@pytest.fixture
def files(planted, tmp_path: Path) -> tuple[str, str]:
    """The planted task as a file, and one of words that the planted tokenizer does not hold."""
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    pairs = planted_prompts(planted, n_pairs=12).pairs
    good.write_text("".join(json.dumps(vars(pair)) + "\n" for pair in pairs))
    uneven = {"clean": "a b c", "corrupt": "a b", "answer": "d", "wrong": "e"}
    bad.write_text(2 * (json.dumps(uneven) + "\n"))
    return str(good), str(bad)


def test_a_task_that_cannot_be_made_gives_its_reason_and_stops_no_other(planted, files) -> None:
    good, bad = files
    one, other, again = check_tasks(planted.model, [good, bad, good], n_pairs=10)
    assert isinstance(one, TaskFigures)
    assert one.fit
    assert one.n_pairs == 10
    assert again == one
    assert isinstance(other, UnmadeTask)
    assert not other.fit
    assert "clean has 3 tokens, corrupt 2; make them equal" in other.reason


def test_all_built_in_tasks_are_checked_unless_some_are_named(monkeypatch, planted) -> None:
    def refuse(name: str, *_: object, **__: object) -> Prompts:
        raise DataError(f"no {name} here.")

    monkeypatch.setattr(module, "load_task", refuse)
    found = list(check_tasks(planted.model))
    assert [one.task for one in found] == list(module.TASKS)
    assert {one.reason for one in found} == {f"no {name} here." for name in module.TASKS}


def test_a_byte_tokenizer_holds_no_names_and_says_so() -> None:
    (found,) = check_tasks(tiny_model("gpt2"), ["ioi"], n_pairs=8)
    assert isinstance(found, UnmadeTask)
    assert "names" in found.reason


def test_an_unknown_name_is_an_error(planted) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ioi'"):
        list(check_tasks(planted.model, ["iio"]))
