"""What heads say on clean prompts alone, as a run recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from needlepoint._core.records import Record, RunFolder


@dataclass(frozen=True)
class CleanCode:
    """A code that a head says on clean prompts of a task and on no corrupt one.

    A code is the entry of the discrete autoencoder that the head's output excites most, taken over
    the whole prompt.
    """

    code: int
    prompts: int
    """Clean prompts on which it is said."""
    tokens: tuple[tuple[str, int], ...]
    """Where the head says it, token by token, on clean prompts, and how often; often no token."""


def clean_codes(folder: RunFolder, record: Record) -> Mapping[str, tuple[CleanCode, ...]]:
    """For each head whose codes the run recorded, those of clean prompts, the most said first.

    Heads of which nothing was recorded are missing; a head that says the same on corrupt prompts
    has no codes.
    """
    if "codes" not in record.tables:
        return {}
    rows = folder.table(record.cell, "codes").to_dict("records")
    found: dict[str, list[CleanCode]] = {str(row["site"]).removesuffix(".z"): [] for row in rows}
    for row in rows:
        if row["unique"]:
            tokens = zip(map(str, row["tokens"]), map(int, row["counts"]), strict=True)
            code = CleanCode(int(row["code"]), int(row["n_clean"]), tuple(tokens))
            found[str(row["site"]).removesuffix(".z")].append(code)
    return {
        site: tuple(sorted(codes, key=lambda one: (-one.prompts, not one.tokens, one.code)))
        for site, codes in found.items()
    }
