"""Without the extra, the message says which extra."""

import importlib.util

import pytest

from needlepoint._core.errors import ModelError
from needlepoint.models.tracr import library
from needlepoint.models.tracr.compiled import tracr_model


def test_without_tracr_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not library.has_tracr()
    with pytest.raises(ModelError, match=r"run pip install 'needlepoint\[tracr\]'"):
        tracr_model("reverse")
