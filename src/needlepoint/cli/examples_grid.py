"""What the help of the commands on grids ends with."""

from __future__ import annotations

RUN = """\
Examples:
  needlepoint run examples/grid.toml
  needlepoint run grid.yaml --out my-run --workers 2
  needlepoint run grid.yaml --ray auto --workers 8 --gpus 1

A config in a few lines:
  models = ["smollm2"]
  tasks = ["ioi", "agreement"]
  repeats = 3"""

RESUME = """\
Examples:
  needlepoint resume my-run
  needlepoint resume my-run --retry --workers 2"""

PLAN = """\
Examples:
  needlepoint plan examples/grid.toml
  needlepoint plan examples/grid.toml --run my-run"""

STATUS = """\
Example:
  needlepoint status my-run"""

VERIFY = """\
Examples:
  needlepoint verify my-run
  needlepoint verify my-run --cells 5 --digits 6"""

EXPORT = """\
Examples:
  needlepoint export my-run
  needlepoint export my-run --format parquet --out tables"""

SCHEMA = """\
Example:
  needlepoint schema > grid.schema.json"""
