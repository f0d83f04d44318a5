"""What a study of heads says in the terminal."""

from __future__ import annotations

from dataclasses import asdict
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from needlepoint._core.records import RunFolder
from needlepoint.cli.show_circuit import show_circuit
from needlepoint.evaluation.configs import HeadsConfig
from needlepoint.evaluation.find_heads import judge_heads
from needlepoint.models.planted import planted_prompts


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_gone_without_the_circuit_is_said_where_it_was_asked(
    planted, tmp_path: Path, asked: bool
) -> None:
    config = HeadsConfig(
        ablate_pairs=12,
        holdout_pairs=12,
        random_circuits=10,
        methods=("random",),
        sae_seeds=1,
        completeness=asked,
    )
    study = judge_heads(planted.model, planted_prompts(planted, n_pairs=48), config)
    run = RunFolder.create(tmp_path / "run", kind="heads", config=asdict(config))
    record = study.save(run)
    shown = StringIO()
    show_circuit(Console(file=shown, width=200), run, record)
    assert ("Without the 2 heads 1.00" in shown.getvalue()) is asked
    assert ("2 changed what it keeps" in shown.getvalue()) is asked
