"""A study, or a record of why there is none: one that cannot be done does not stop the others."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable

from needlepoint._core.errors import NeedlepointError, StorageFullError
from needlepoint._core.records import Record, Status
from needlepoint.evaluation.study import Study

_FULL = (errno.ENOSPC, errno.EDQUOT)


def attempt(cell: str, kind: str, find: Callable[[], Study]) -> Study:
    """What `find` returns, or a record that says why it returned nothing.

    What a user can put right is a reason to skip; a defect fails, with its traceback.

    Raises:
        StorageFullError: If the disk is full, which concerns every study.
        OSError: The same, as the system says it.

    Example:
        >>> attempt("circuit.x", "circuit", lambda: 1 / 0).record.status
        'failed'
    """
    start = time.monotonic()
    status: Status
    try:
        return find()
    except StorageFullError:
        raise
    except NeedlepointError as error:
        status, reason = "skipped", str(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        status, reason = "failed", traceback.format_exc()
    return Study(Record(cell, kind, status, reason, seconds=time.monotonic() - start), {})
