"""Tables out of Parquet files that may be damaged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    MemoryError,
    pa.ArrowException,
)
"""What reading a file of a table that is not whole can end in."""


def read_parquet(path: Path) -> pd.DataFrame:
    """The table in a file, with every text in it looked at.

    A text is otherwise taken as it lies, and one that is damaged is an error much later, of
    whoever uses it.

    Raises:
        UNREADABLE: One of these, if the file is damaged.
    """
    frame = pd.read_parquet(path)
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name].tolist()
    return frame
