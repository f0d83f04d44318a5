"""Which programming language is a text in? Real source files from published packages."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from needlepoint._core.errors import DataError
from needlepoint._core.files import atomic_path, cache_dir
from needlepoint._core.packages import Package
from needlepoint._core.text import Encoder
from needlepoint.features.collection import Card, Collection
from needlepoint.features.source_files import Source, SourceFile, read_sources
from needlepoint.features.windows import Window, windows_of_language

NAME = "programming_language"
RECORDS_VERSION = 1
"""Raise it whenever other files, or other parts of them, would be kept."""
MIN_DOCUMENTS = 8
PLAIN = (
    "bash",
    "c",
    "css",
    "go",
    "haskell",
    "html",
    "java",
    "lua",
    "perl",
    "php",
    "python",
    "scala",
)
LEXERS = {name: name for name in PLAIN} | {"cpp": "c++", "js": "javascript", "rb": "ruby"}
"""Folders of examples in pygments, and the language of each."""

SOURCES: tuple[Source, ...] = (
    Source(
        Package(
            "pygments",
            "2.21.0",
            "610ca751c9bc2492b38eb9a38a7fbc93edbbb2d7182edaf34e66ae493dee5c8c",
            kind="sdist",
            licence="BSD-2-Clause",
        ),
        suffixes={},
        folders={f"examplefiles/{folder}": name for folder, name in LEXERS.items()},
    ),
    Source(
        Package(
            "django",
            "5.2.19",
            "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
            licence="BSD-3-Clause",
        ),
        suffixes={".py": "python", ".js": "javascript", ".html": "html", ".css": "css"},
    ),
    Source(
        Package(
            "trac",
            "1.6",
            "5ff2f3394ebee7cc5b8ee465871cfdecb78ee492a74215b47b6d9ddbcc93b5f7",
            licence="BSD-3-Clause",
        ),
        suffixes={".py": "python", ".js": "javascript", ".html": "html", ".css": "css"},
    ),
    Source(
        Package(
            "cython",
            "3.3.1",
            "e0e45989e821bef6aa9ae15c7d583ab5e055f7406c4b3624e49e06d24e90375a",
            kind="sdist",
            licence="Apache-2.0",
        ),
        suffixes={".pyx": "cython", ".c": "c"},
    ),
    Source(
        Package(
            "jpype1",
            "1.7.1",
            "3cd88838dc3d2d546f7eaeadaaff864e590010c15f2b6a44b6f37e60796a14b2",
            kind="sdist",
            licence="Apache-2.0",
        ),
        suffixes={".java": "java", ".cpp": "c++", ".py": "python"},
    ),
    Source(
        Package(
            "psutil",
            "7.2.2",
            "0746f5f8d406af344fd547f1c8daa5f5c33dbc293bb8d6a16d80b4bb88f59372",
            kind="sdist",
            licence="BSD-3-Clause",
        ),
        suffixes={".c": "c", ".py": "python"},
    ),
    Source(
        Package(
            "pybind11",
            "3.1.0",
            "b8488090f8acffbcb6b5d6a85571a6827a0a2981ffb75e5a0b27b87c4a6b7dd0",
            licence="BSD-3-Clause",
        ),
        suffixes={".h": "c++"},
    ),
    Source(
        Package(
            "python-for-android",
            "2026.5.9",
            "79a58606a78ed3cec1aba110876a414d4aa988f082385d68393e208d009e1e94",
            licence="MIT",
        ),
        suffixes={".java": "java", ".pyx": "cython", ".c": "c"},
    ),
)


def load(
    encoder: Encoder, *, n_per_feature: int = 60, n_tokens: int = 64, seed: int = 0
) -> Collection:
    """Windows of source code, labelled by the language of the file they were cut from.

    There is one yes-or-no feature for each language with enough files; windows of the others
    only serve as negatives. All windows are equally long and each is one row, the mean over
    its tokens. The first call fetches about 22 MB of packages.

    Args:
        encoder: The tokenizer of the model to be probed.
        n_per_feature: Windows of each language; also of all other languages together.
        n_tokens: Tokens of a window.
        seed: The seed of the whole run.

    Raises:
        DataError: If fewer than two languages have enough files for such windows.
        SourceError: If a package cannot be had.
    """
    for name, value, least in (("n_per_feature", n_per_feature, 6), ("n_tokens", n_tokens, 4)):
        if value < least:
            raise DataError(f"{name} is {value}; it must be at least {least}.")
    files: dict[str, list[SourceFile]] = defaultdict(list)
    for file in records():
        files[file.language].append(file)
    windows = {
        language: windows_of_language(
            of_language, encoder, n=n_per_feature, n_tokens=n_tokens, seed=seed
        )
        for language, of_language in files.items()
    }
    features = tuple(sorted(name for name in windows if _enough(windows[name], n_per_feature)))
    if len(features) < 2:
        raise DataError(
            f"fewer than two languages have {MIN_DOCUMENTS} files with {n_per_feature} windows of "
            f"{n_tokens} tokens; ask for a smaller n_tokens or n_per_feature."
        )
    others = sorted(set(windows) - set(features))
    chosen = [window for language in features for window in windows[language]]
    chosen += _some_of_each([windows[language] for language in others], n_per_feature)
    return _collection(chosen, features, others, n_tokens)


def records() -> list[SourceFile]:
    """The source files in use, kept as one Parquet file in the cache after the first call.

    Raises:
        SourceError: If a package cannot be had.
    """
    key = hashlib.sha256(str(RECORDS_VERSION).encode())
    for source in SOURCES:
        key.update(source.package.sha256.encode())
    path = cache_dir() / "features" / f"{NAME}-{key.hexdigest()[:16]}.parquet"
    if path.exists():
        try:
            frame = pd.read_parquet(path, columns=list(SourceFile._fields))
            return [SourceFile(*row) for row in frame.itertuples(index=False, name=None)]
        except (OSError, ValueError):
            path.unlink()  # damaged: made again below
    found = read_sources(SOURCES)
    with atomic_path(path) as temporary:
        pd.DataFrame(found, columns=list(SourceFile._fields)).to_parquet(temporary, index=False)
    return found


def _enough(windows: Sequence[Window], n: int) -> bool:
    """Whether a language can be a feature: 8 files, and 3 of 4 of the windows asked for."""
    documents = {window.file.document for window in windows}
    return len(documents) >= MIN_DOCUMENTS and len(windows) >= 0.75 * n


def _some_of_each(languages: Sequence[Sequence[Window]], n: int) -> list[Window]:
    """At most `n` windows of all these languages together, shared out evenly."""
    ranked = [(i, window) for windows in languages for i, window in enumerate(windows)]
    return [window for _, window in sorted(ranked, key=lambda entry: entry[0])[:n]]


def _collection(
    windows: Sequence[Window], features: tuple[str, ...], others: Sequence[str], n_tokens: int
) -> Collection:
    languages = [window.file.language for window in windows]
    n = len(windows)
    return Collection(
        card=_card(features, others, n_tokens),
        question="Which neurons know what programming language a text is in?",
        ids=tuple(window.ids for window in windows),
        documents=tuple(window.file.document for window in windows),
        rows=np.column_stack([np.arange(n), np.zeros(n, np.int64), np.full(n, n_tokens)]),
        reduce="mean",
        features=features,
        labels=np.array([[name == feature for feature in features] for name in languages]),
        texts=tuple(window.text for window in windows),
    )


def _card(features: Sequence[str], others: Sequence[str], n_tokens: int) -> Card:
    packages = [source.package for source in SOURCES]
    negatives = f" Files in {', '.join(others)} only serve as negatives." if others else ""
    return Card(
        name=NAME,
        title="Programming language",
        description=f"Windows of real source code in {', '.join(features)}, each language against "
        f"all others.{negatives}",
        source="Published packages: "
        + ", ".join(f"{package.name} {package.version}" for package in packages),
        licence="; ".join(f"{package.name}: {package.licence}" for package in packages)
        + "; single files may carry terms of their own",
        how_labelled="By the extension of the file (in pygments by its folder); no model was "
        "asked. A window takes the label of its file even where it is all comment or text.",
        confounds=(
            "A language comes from two to five projects, so part of what tells it apart can be "
            "what its projects are about; Cython is nearly all from the compiler's own tests.",
            "HTML files are templates with Django or Jinja tags, not finished pages.",
            "Cython contains Python, HTML contains JavaScript and CSS, and C++ contains C.",
            "C is partly code about Python's own objects, as are C++ and Cython.",
            "Comments are in English; the comment that a file opens with is left out, since it "
            "names the project and its licence.",
        ),
        aggregation=f"mean over the {n_tokens} tokens of a window",
    )
