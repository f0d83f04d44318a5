"""Rows of a public data set on the hub, where there is a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from needlepoint._core.errors import SourceError


@dataclass(frozen=True)
class HubData:
    """A data set that `datasets` can stream, and where in it the records are."""

    repo: str
    """Name on the hub, or a local folder of Parquet, JSONL or CSV files."""
    licence: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def hub_rows(data: HubData, *, at_most: int | None = None) -> Iterator[dict[str, Any]]:
    """Rows in order, streamed: only what is asked for is downloaded. No code of the hub is run.

    Raises:
        SourceError: If a package of the extra `hub` is not installed, or the data set cannot be
            had.
    """
    for package in ("datasets", "zstandard"):
        if importlib.util.find_spec(package) is None:
            raise SourceError(
                f"{data.repo} is read with the package {package}; run pip install "
                "'needlepoint[hub]', or leave the source out to use packages."
            )
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        rows = datasets.load_dataset(
            data.repo,
            data.config,
            split=data.split,
            revision=data.revision,
            streaming=True,
            **data.options,
        )
        yield from (dict(row) for row in islice(rows, at_most))
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SourceError(
            f"the data set {data.repo} cannot be had ({reason}); check the network, or leave the "
            "source out to use packages."
        ) from error
