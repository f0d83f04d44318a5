"""Options that many commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Model = Annotated[
    str, Parameter(help="smollm2 (packaged), a hub name, a local folder, or a GGUF file.")
]
Out = Annotated[
    Path | None,
    Parameter(help="Run folder to make: new or empty. By default one in ./needlepoint-runs."),
]
Dtype = Annotated[
    str, Parameter(help="Precision: float32, bfloat16, float16, or auto, the faster that is safe.")
]
