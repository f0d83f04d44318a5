"""Windows of equal token length, cut from source files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from needlepoint._core.seeds import seed_for
from needlepoint._core.text import Encoder
from needlepoint.features.source_files import SourceFile, take_turns

MOST_PER_FILE = 4
REACH = 40
"""Characters of a file, for each token of a window, that windows are cut from."""


class Window(NamedTuple):
    """Some consecutive tokens of one file."""

    file: SourceFile
    ids: tuple[int, ...]
    text: str


def windows_of_language(
    files: Sequence[SourceFile], encoder: Encoder, *, n: int, n_tokens: int, seed: int
) -> list[Window]:
    """Up to `n` windows of one language, from as many files as can be.

    Files are taken in an order drawn from the seed, projects taking turns; no file gives more
    than four windows, and none a second before every file has been asked for its first.
    """
    cuts: list[Iterator[Window]] = [
        windows_of_file(file, encoder, n_tokens=n_tokens, seed=seed)
        for file in _shuffled(files, seed)
    ]
    found: list[Window] = []
    for _ in range(MOST_PER_FILE):
        for cut in cuts:
            if len(found) == n:
                return found
            found += [window for window in [next(cut, None)] if window is not None]
    return found


def windows_of_file(
    file: SourceFile, encoder: Encoder, *, n_tokens: int, seed: int
) -> Iterator[Window]:
    """The windows of one file in an order drawn from the seed; none overlap.

    Each starts where a line starts, so that a person can read it.
    """
    draw = np.random.default_rng(seed_for(seed, use="windows", document=file.document))
    region = _region(file.text, REACH * n_tokens, draw)
    ids, offsets = encoder.encode_with_offsets(region)
    starts = [
        i for i, (low, _) in enumerate(offsets) if i == 0 or "\n" in region[offsets[i - 1][0] : low]
    ]
    taken: list[int] = []
    for start in draw.permutation(starts):
        stop = int(start) + n_tokens
        if stop <= len(ids) and all(abs(start - other) >= n_tokens for other in taken):
            taken.append(int(start))
            cut = ids[start:stop]
            yield Window(file, tuple(cut), "".join(encoder.pieces(cut)))


def _region(text: str, length: int, draw: np.random.Generator) -> str:
    """A stretch of the text that starts where a line does, drawn from all such."""
    if len(text) <= length:
        return text
    start = text.find("\n", int(draw.integers(len(text) - length))) + 1
    return text[start : start + length]


def _shuffled(files: Sequence[SourceFile], seed: int) -> list[SourceFile]:
    """The files in an order drawn from the seed, projects taking turns."""
    projects: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        projects[file.project].append(file)
    for project, of_project in projects.items():
        language = of_project[0].language
        draw = np.random.default_rng(
            seed_for(seed, use="files", project=project, language=language)
        )
        projects[project] = [of_project[i] for i in draw.permutation(len(of_project))]
    return take_turns(projects)
