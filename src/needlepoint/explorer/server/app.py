"""The application: pages and addresses behind the guard, and errors as one sentence."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from needlepoint._core.errors import NeedlepointError, UnknownNameError
from needlepoint.explorer.questions import JobService, LiveService
from needlepoint.explorer.run_folders.library import Library
from needlepoint.explorer.server.api import api_routes
from needlepoint.explorer.server.guard import Access, Guard
from needlepoint.explorer.server.pages import error_page, page_routes

DEFECT = "this failed by a defect; the terminal of the explorer has the details."
_log = logging.getLogger(__name__)


def create_app(
    library: Library,
    live: LiveService | None = None,
    jobs: JobService | None = None,
    access: Access | None = None,
) -> ASGIApp:
    """The explorer as an ASGI application.

    Args:
        library: The runs that it shows. They are read, and never written.
        live: A model to ask; without one the pages over runs work all the same.
        jobs: What starts studies of pasted text.
        access: Where it will listen, and whom it lets in; this machine alone unless given.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if jobs is not None:
            jobs.close()

    app = FastAPI(
        title="needlepoint", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.include_router(api_routes(library, live, jobs))
    app.include_router(page_routes(library, "" if live is None else live.source))
    _say_errors(app, "" if live is None else live.source)
    return Guard(app, access or Access())


def _say_errors(app: FastAPI, model: str) -> None:
    """Make every error one clear sentence, as JSON or as a page."""

    def said(request: Request, sentence: str, status: int) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": sentence}, status)
        return error_page(model, sentence, status)

    def user_error(request: Request, error: Exception) -> Response:
        return said(request, str(error), 404 if isinstance(error, UnknownNameError) else 400)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return said(request, _sentence(error), 422)

    def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {404: "there is no such page.", 405: "this address is not asked in that way."}
        return said(request, words.get(error.status_code, str(error.detail)), error.status_code)

    def defect(request: Request, error: Exception) -> Response:
        _log.error("a request failed", exc_info=error)
        return said(request, DEFECT, 500)

    app.add_exception_handler(NeedlepointError, user_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, defect)


def _sentence(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
    message = str(first["msg"])
    return f"{place or 'the request'} cannot be used: {message[:1].lower()}{message[1:]}."
