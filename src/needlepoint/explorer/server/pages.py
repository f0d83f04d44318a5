"""The pages of the explorer, made on the server from records alone."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from needlepoint.explorer.run_folders.compare import MAIN, comparable, compare, differences
from needlepoint.explorer.run_folders.library import PAGE, Library, Run, card_of
from needlepoint.explorer.run_folders.scatter import in_words, scatter
from needlepoint.explorer.run_folders.search import Found, put_forward, search, site_in
from needlepoint.explorer.server.assets import asset
from needlepoint.report.made import commands
from needlepoint.report.page import readable, render
from needlepoint.report.text import island, number

REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A report is a file that may come from elsewhere: it runs as a stranger, cut off from the rest."""
SHOWN = 40
"""Rows of a comparison that are in the page."""
LEADING = 25
"""Units on the page of a run."""


def page_routes(library: Library, model: str) -> APIRouter:
    """The routes of pages.

    Args:
        library: The runs.
        model: What the live model was asked for as; empty if there is none.
    """
    routes, show = APIRouter(), _Pages(model)
    _run_routes(routes, library, show)
    _search_routes(routes, library, show)

    @routes.get("/live")
    def live() -> HTMLResponse:
        return show("live.html", title="Live")

    @routes.get("/studies")
    def studies() -> HTMLResponse:
        return show("studies.html", title="New study")

    @routes.get("/pins")
    def pins() -> HTMLResponse:
        return show("pins.html", title="Pins")

    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        text, media = asset(name)
        kept = "max-age=86400" if name == "plotly.js" else "no-cache"
        return Response(text, media_type=media, headers={"cache-control": kept})

    @routes.get("/favicon.ico")
    def favicon() -> Response:
        return Response(status_code=204)

    return routes


class _Pages:
    """Fills templates."""

    def __init__(self, model: str) -> None:
        self.environment = Environment(
            loader=PackageLoader("needlepoint.explorer.server"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=readable,
        )
        self.environment.filters.update(number=number, token=_token)
        self.environment.globals.update(live_model=model, plotly=version("plotly"))

    def __call__(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        page = self.environment.get_template(template).render(**values)
        return HTMLResponse(page, status)


def _token(text: str) -> str:
    """A token whose spaces at either end, and whose line ends, can be seen."""
    inner = text.strip(" ")
    before, after = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    shown = "\u2423" * before + inner + "\u2423" * (after if inner else 0)
    return shown.replace("\n", "\u21b5").replace("\t", "\u21e5")


def error_page(model: str, sentence: str, status: int) -> HTMLResponse:
    """A page that says what was wrong."""
    return _Pages(model)("error.html", status, title="Not possible", sentence=sentence)


def _run_routes(routes: APIRouter, library: Library, show: _Pages) -> None:
    @routes.get("/")
    def runs() -> HTMLResponse:
        folders = [str(folder) for folder in library.folders]
        return show("runs.html", title="Runs", cards=library.cards(), folders=folders)

    @routes.get("/runs/{name}")
    def run(name: str) -> HTMLResponse:
        found = library.run(name)
        header = found.folder.header
        return show(
            "run.html",
            title=found.id,
            card=card_of(found),
            commands=commands(header),
            open=_not_established(found),
            found=search(library, "", run=name, most=LEADING),
        )

    @routes.get("/runs/{name}/report")
    def report(name: str) -> Response:
        found = library.run(name)
        path = found.inside(PAGE)
        text = render(found.folder) if path is None else path.read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})


def _search_routes(routes: APIRouter, library: Library, show: _Pages) -> None:
    @routes.get("/search")
    def find(q: str = "", kind: str = "", run: str = "") -> HTMLResponse:
        found = search(library, q, kind=kind, run=run) if q.strip() or run else Found((), 0)
        names = [one.id for one in library.runs()]
        site = site_in(q)
        asked: dict[str, Any] = {"q": q, "kind": kind, "run": run, "site": site, "names": names}
        known = bool(found.hits) or not site or put_forward(library, site)
        return show("search.html", title="Search", found=found, known=known, **asked)

    @routes.get("/compare")
    def comparison(
        a: str = "", b: str = "", cell: str = "", other: str = "", measure: str = MAIN
    ) -> Response:
        names = [one.id for one in library.runs()]
        asked: dict[str, Any] = {"title": "Compare", "names": names, "a": a, "b": b}
        if not (a and b):
            return show("compare.html", **asked)
        runs = library.run(a), library.run(b)
        return show("compare.html", **asked, **_compared(*runs, cell, other, measure))


def _compared(first: Run, second: Run, cell: str, other: str, measure: str) -> dict[str, Any]:
    """What the page of a comparison shows: settings always, scores where two cells match."""
    cells, others = ([record.cell for record in comparable(run)] for run in (first, second))
    found: dict[str, Any] = {
        "differences": differences(first, second),
        "cells": cells,
        "others": others,
        "cell": cell or next((name for name in cells if name in others), next(iter(cells), "")),
    }
    found["other"] = other or (found["cell"] if found["cell"] in others else "")
    if not found["other"]:
        kind = found["cell"].partition(".")[0]
        found["other"] = next((name for name in others if name.startswith(f"{kind}.")), "")
    if not (found["cell"] and found["other"]):
        return found
    sides = (first, first.record(found["cell"])), (second, second.record(found["other"]))
    held = compare(*sides, measure)
    data = {"figure": scatter(held, first.id, second.id), "alt": in_words(held)}
    return {
        **found,
        "held": held,
        "main": "effect" if held.first.startswith("circuit.") else "validation F1",
        "rows": held.rows.head(SHOWN).to_dict("records"),
        "island": Markup(island(data)),
        "words": in_words(held),
    }


def _not_established(run: Run) -> list[str]:
    return [
        str(line)
        for record in run.folder.records()
        for line in record.summary.get("not_established") or ()
    ]
