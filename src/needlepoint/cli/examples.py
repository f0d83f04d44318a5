"""What the help of each command ends with: examples to copy, and the names that can be given."""

from __future__ import annotations

START = """\
Start with:  needlepoint demo

Exit status: 0 done, 1 failed by a defect, 2 wrong input, 130 stopped."""

DEMO = """\
Examples:
  needlepoint demo
  needlepoint demo --out my-run"""

CIRCUIT = """\
Examples:
  needlepoint circuit --task ioi
  needlepoint circuit --task my-pairs.jsonl --model EleutherAI/pythia-70m
  needlepoint circuit --methods discrete_sae mean_difference random

Behaviours: ioi.
Methods: discrete_sae, discrete_sae_edges, mean_difference, effect_size,
linear_probe, paired_difference, paired_singular_value, untrained_codes,
distinct_codes, output_norm, layer_index, random."""

PROBE = """\
Examples:
  needlepoint probe --features programming_language
  needlepoint probe --features my-labels.csv --max-k 16 --out my-run

Collections: programming_language.
A file has a column 'text', and a column 'label' or, for labelled stretches of
characters, 'spans'."""

MODELS = """\
Examples:
  needlepoint models
  needlepoint models --check smollm2"""

REPORT = """\
Example:
  needlepoint report needlepoint-runs/demo-20260131-120000"""
