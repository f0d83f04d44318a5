"""Randomness has a name: seeds are hashed from what they are for, never counted up."""

from __future__ import annotations

import hashlib
import json


def seed_for(root: int, /, **parts: str | int) -> int:
    """Derive the seed of one piece of work from its name.

    The seed does not depend on the order of the jobs, on the number of workers, or on which
    jobs were already done; adding a method to a grid leaves every other seed as it was.

    Args:
        root: The seed of the whole run: the one number a reader is given.
        **parts: What this randomness depends on. Leave a part out to share the randomness
            across it: without `method`, all methods see one split.

    Returns:
        An integer in `[0, 2**63)`, ready for `torch.Generator.manual_seed`.

    Example:
        >>> split = seed_for(0, task="ioi", use="split")
        >>> split == seed_for(0, use="split", task="ioi")
        True
        >>> split == seed_for(0, task="ioi", use="split", repeat=1)
        False
    """
    text = json.dumps([root, sorted(parts.items())], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
