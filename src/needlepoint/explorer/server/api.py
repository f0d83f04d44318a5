"""Addresses that answer in JSON: the live model, codebooks, studies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from needlepoint._core.errors import DataError
from needlepoint._core.records import jsonable
from needlepoint.explorer.questions import JobRequest, JobService, JobView, LiveService
from needlepoint.explorer.run_folders.library import Library
from needlepoint.explorer.server.bodies import CodebookBody, QuestionBody, StudyBody
from needlepoint.explorer.server.pasted import labelled_csv, pair_lines

NO_MODEL = "the explorer was started without a model; start it again with --model smollm2."


def api_routes(library: Library, live: LiveService | None, jobs: JobService | None) -> APIRouter:
    """The routes below `/api`.

    They are plain functions, which the framework runs in threads of its own, so that a long
    answer keeps nobody else from reading pages; the model's own lock puts questions in a row.
    """
    routes = APIRouter(prefix="/api")
    _live_routes(routes, live)
    _study_routes(routes, library, jobs)
    return routes


def _live_routes(routes: APIRouter, live: LiveService | None) -> None:
    @routes.get("/model")
    def model() -> Response:
        return _json(_need(live).card())

    @routes.get("/site")
    def site(name: str) -> Response:
        return _json(_need(live).site(name))

    @routes.post("/read")
    def read(body: QuestionBody) -> Response:
        return _json(_need(live).answer(body.question()))

    @routes.get("/example")
    def example(task: str, number: int = 0) -> Response:
        text, contrast = _need(live).example(task, number)
        return _json({"text": text, **asdict(contrast)})

    @routes.post("/codebook")
    def codebook(body: CodebookBody) -> Response:
        return _json(_need(live).fit_codebook(body.task))


def _study_routes(routes: APIRouter, library: Library, jobs: JobService | None) -> None:
    seen = _seen(library)

    @routes.get("/studies")
    def studies() -> Response:
        return _json([] if jobs is None else [seen(view) for view in jobs.jobs()])

    @routes.post("/studies")
    def start(body: StudyBody) -> Response:
        if jobs is None:
            raise DataError(NO_MODEL)
        if body.kind == "probe":
            content = labelled_csv(body.positive, body.negative, body.table)
        else:
            content = pair_lines(body.table)
        return _json(seen(jobs.start(JobRequest(body.kind, body.name, content, body.thorough))))

    @routes.post("/studies/prepare")
    def prepare() -> Response:
        if jobs is not None:
            jobs.prepare()
        return _json({})

    @routes.post("/studies/{job}/cancel")
    def cancel(job: str) -> Response:
        if jobs is None:
            raise DataError(NO_MODEL)
        return _json(seen(jobs.cancel(job)))


def _seen(library: Library) -> Callable[[JobView], dict[str, Any]]:
    """A study as a page needs it: its run by name, not by path."""

    def seen(view: JobView) -> dict[str, Any]:
        return {**asdict(view), "run": library.name_of(Path(view.run)) if view.run else ""}

    return seen


def _need(live: LiveService | None) -> LiveService:
    if live is None:
        raise DataError(NO_MODEL)
    return live


def _json(value: Any) -> Response:
    """JSON of plain values and of dataclasses, without a copy of their long lists."""
    text = json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))
    return Response(text, media_type="application/json")


def _plain(value: Any) -> Any:
    return vars(value) if hasattr(value, "__dataclass_fields__") else jsonable(value)
