"""A record says with what a result was made, and not by whom or where."""

import getpass
import json
import os
import platform
import re
from pathlib import Path

from needlepoint._core.provenance import cores, machine, now, versions


def test_versions_are_those_that_are_installed() -> None:
    import numpy
    import torch

    found = versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_neither_user_nor_host_nor_path_is_named() -> None:
    written = json.dumps([machine(), versions()])
    for secret in (platform.node(), str(Path.home()), str(Path.cwd()), os.sep + "home"):
        assert secret not in written
    words = set(re.findall(r"\w+", written))
    assert getpass.getuser() not in words
    assert set(machine()) == {"processor", "cores", "system"}


def test_cores_are_counted_and_the_time_is_universal() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())
