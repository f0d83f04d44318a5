"""One loaded model that answers questions about texts, one at a time."""

from __future__ import annotations

import shlex
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from needlepoint._core.errors import DataError
from needlepoint.circuits.metric import Answers, kl
from needlepoint.explorer.live.codebook import N_PAIRS, Codebook, fit_codebook
from needlepoint.explorer.live.edits import Change, Edited, run_both, run_edited
from needlepoint.explorer.live.site_names import read_site, short_name
from needlepoint.explorer.live.text_run import TextRun, Wanted, logits_of, run_text
from needlepoint.explorer.questions import (
    MOST_SITES,
    MOST_TOKENS,
    TOP,
    CodebookCard,
    Contrast,
    HeadTrace,
    Measured,
    NeuronTrace,
    NextToken,
    SiteCard,
    TextAnswer,
    TextQuestion,
)
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site
from needlepoint.tasks import TASKS, Pair, Prompts, pair_prompts

KEPT_TEXTS = 4
"""Texts whose last pass is kept, so that a further question about one starts from there."""
MOST_EXAMPLES = 200
"""Prompts of a task that can be asked for by number."""


class LiveModel:
    """A model behind one lock, with the last texts that it read and the codebooks fitted on it."""

    def __init__(self, model: Model, source: str) -> None:
        self.model, self.source = model, source
        self._lock = threading.Lock()
        self._fitting = threading.Lock()
        self._kept: OrderedDict[tuple[tuple[int, ...], ...], TextRun] = OrderedDict()
        self._codebooks: dict[str, Codebook] = {}

    def card(self) -> Mapping[str, Any]:
        """What the record of a run says about the model, and the codebooks that are at hand."""
        books = [vars(book.card) for book in self._codebooks.values()]
        return {**self.model.card(), "codebooks": books, "tasks": sorted(TASKS)}

    def answer(self, question: TextQuestion) -> TextAnswer:
        """Look at a text: activations, patterns, codes, predictions, and what edits change.

        Raises:
            DataError: If the text, the prompts or the answers cannot be used.
            UnknownSiteError: If a neuron or head does not exist.
            UnknownNameError: If no codebook has been fitted on the task named.
        """
        start = time.perf_counter()
        sites = [read_site(self.model, text) for text in _few(question.sites, "sites")]
        changes = [
            Change(read_site(self.model, edit.site), edit.kind, edit.factor)
            for edit in _few(question.edits, "edits")
        ]
        prompts = _prompts(self.model, question)
        rows = _rows(self.model, question.text, prompts)
        last = len(self.model.prefix) + len(rows[0]) - 1
        position = _position(question.position, last)
        places = [position] if prompts is None else [position, last]
        with self._lock:
            run, edited = self._runs(
                rows, Wanted.of(sites, [change.site for change in changes]), changes, sites
            )
            logits = self._logits(run, edited, places)
            heads = [self._head(run, site, question.codebook) for site in sites if _is_head(site)]
        before, after = logits[0, 0], None if edited is None else logits[-1, 0]
        return TextAnswer(
            tokens=self.model.encoder.pieces(run.batch.ids[0].tolist()),
            prefix=len(self.model.prefix),
            position=position,
            neurons=[_neuron(run, site, edited) for site in sites if not _is_head(site)],
            heads=heads,
            likely=self._likely(before, after),
            divergence=None if after is None else float(kl(after[None], before[None])),
            measured=None if prompts is None else _measured(prompts, logits[:, 1]),
            milliseconds=round(1000 * (time.perf_counter() - start), 1),
        )

    def site(self, name: str) -> SiteCard:
        """A neuron or head by its name, with what can be asked of it.

        Raises:
            UnknownSiteError: If the model has no such neuron or head.
        """
        found = read_site(self.model, name)
        site, words = short_name(found), []
        if not _is_head(found):
            words = ["needlepoint", "neuron", site]
            words += [] if self.source == "smollm2" else ["--model", self.source]
        kind: Literal["neuron", "head"] = "head" if _is_head(found) else "neuron"
        return SiteCard(site, kind, self.model.name, shlex.join(words))

    def example(self, task: str, number: int) -> tuple[str, Contrast]:
        """A prompt of a built-in task, and what it is held against; numbers count from 0.

        Raises:
            UnknownNameError: If there is no such task.
            DataError: If there is no such number, or the tokenizer cannot hold the task.
        """
        if not 0 <= number < MOST_EXAMPLES:
            raise DataError(f"example {number} is not between 0 and {MOST_EXAMPLES - 1}.")
        pair = TASKS[task](self.model.encoder, n_pairs=max(number + 1, 2)).pairs[number]
        return pair.clean, Contrast(pair.corrupt, pair.answers, pair.wrongs)

    def fit_codebook(self, task: str) -> CodebookCard:
        """Fit a discrete dictionary on the prompts of a built-in task; once for each task.

        Raises:
            UnknownNameError: If there is no such task.
            DataError: If the tokenizer cannot hold the task.
        """
        prompts = TASKS[task](self.model.encoder, n_pairs=N_PAIRS)
        with self._fitting:
            if task not in self._codebooks:
                self._codebooks[task] = fit_codebook(self.model, prompts, self._lock)
            return self._codebooks[task].card

    def _runs(
        self,
        rows: Sequence[Sequence[int]],
        wanted: Wanted,
        changes: Sequence[Change],
        sites: Sequence[Site],
    ) -> tuple[TextRun, Edited | None]:
        """The text as it is and as edited: from the last pass over it, if that kept enough."""
        key = tuple(map(tuple, rows))
        neurons = [site for site in sites if not _is_head(site)]
        found, edited = self._kept.get(key), None
        if found is not None and wanted <= found.wanted:
            edited = run_edited(self.model, found, changes, neurons) if changes else None
        else:
            wanted = wanted if found is None else wanted | found.wanted
            batch = self.model.batch(rows)
            if changes:
                found, edited = run_both(self.model, batch, wanted, changes, neurons)
            else:
                found = run_text(self.model, batch, wanted)
        self._kept[key] = found
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_TEXTS:
            self._kept.popitem(last=False)
        return found, edited

    def _logits(
        self, run: TextRun, edited: Edited | None, places: Sequence[int]
    ) -> Float[Tensor, "example place vocab"]:
        """Of the text, of its corrupt prompt if there is one, and last of the text as edited."""
        resid, ids = run.resid[-1], run.batch.ids
        if edited is not None:
            resid, ids = torch.cat([resid, edited.resid]), torch.cat([ids, ids[:1]])
        return logits_of(self.model, ids, resid, places)

    def _head(self, run: TextRun, site: Site, codebook: str) -> HeadTrace:
        shape, codes, clean = self.model.shape, None, None
        if codebook:
            book = self._codebooks.get(codebook)
            if book is None:
                raise DataError(
                    f"no codebook has been fitted on {codebook!r}; fit one on this task first."
                )
            codes, clean = book.read(run, site, shape.n_heads), book.of_clean(site, shape.n_heads)
        weights = run.pattern(site).double().round(decimals=4).tolist()
        if self.model.causal:
            weights = [row[: place + 1] for place, row in enumerate(weights)]
        assert site.index is not None
        shared = site.index // (shape.n_heads // shape.n_kv_heads)
        return HeadTrace(short_name(site), weights, shared, codes, clean)

    def _likely(
        self, before: Float[Tensor, " vocab"], after: Float[Tensor, " vocab"] | None
    ) -> list[NextToken]:
        """The likeliest tokens before and after, each with both probabilities."""
        n = min(TOP, len(before))
        first = before.softmax(-1)
        second = None if after is None else after.softmax(-1)
        chosen = first.topk(n).indices.tolist()
        if second is not None:
            chosen += [token for token in second.topk(n).indices.tolist() if token not in chosen]
        return [
            NextToken(
                self.model.encoder.pieces([token])[0],
                token,
                float(first[token]),
                None if second is None else float(second[token]),
            )
            for token in chosen
        ]


def _few(values: Sequence[Any], what: str) -> Sequence[Any]:
    if len(values) > MOST_SITES:
        raise DataError(f"{len(values)} {what} are too many at once; give up to {MOST_SITES}.")
    return values


def _is_head(site: Site) -> bool:
    return site.part is Part.HEAD


def _prompts(model: Model, question: TextQuestion) -> Prompts | None:
    """The text beside its corrupt prompt, checked as pairs of a task are."""
    contrast = question.contrast
    if contrast is None:
        return None
    pair = Pair(question.text, contrast.corrupt, contrast.answer, contrast.wrong)
    return pair_prompts(
        [pair, pair],  # two at least are asked for
        model.encoder,
        task="typed",
        description="",
        question="",
        corruption="typed",
    )


def _rows(model: Model, text: str, prompts: Prompts | None) -> list[list[int]]:
    """Token ids of the text, and of its corrupt prompt if there is one."""
    ids = model.encoder.encode(text)
    if not ids:
        raise DataError("the text is empty; type a few words.")
    if len(ids) > MOST_TOKENS:
        raise DataError(f"the text has {len(ids)} tokens; give up to {MOST_TOKENS}.")
    return [ids] if prompts is None else [ids, list(prompts.corrupt_ids[0])]


def _position(asked: int | None, last: int) -> int:
    if asked is None:
        return last
    if not 0 <= asked <= last:
        raise DataError(f"there is no token {asked}; the text has tokens 0 to {last}.")
    return asked


def _neuron(run: TextRun, site: Site, edited: Edited | None) -> NeuronTrace:
    after = None if edited is None else _rounded(edited.values[site])
    return NeuronTrace(short_name(site), _rounded(run.values(site)[0]), after)


def _rounded(values: Float[Tensor, " pos"]) -> list[float]:
    return [round(value, 4) for value in values.float().tolist()]


def _measured(prompts: Prompts, logits: Float[Tensor, "example vocab"]) -> Measured:
    """The metric at the last token of the text, of the corrupt prompt, and with the edits."""
    answers = Answers.of(prompts).to(logits.device)
    clean, corrupt = answers(logits[:2]).tolist()
    after = float(answers.rows(slice(0, 1))(logits[2:])) if len(logits) > 2 else None
    return Measured(answers.name, answers.unit, clean, corrupt, after)
