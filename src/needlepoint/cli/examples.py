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
  needlepoint circuit --task ioi --corruption swap --metric kl
  needlepoint circuit --methods sae
  needlepoint circuit --methods discrete_sae eap_ig_inputs random_edges \\
      --curve-pairs 24

Behaviours: 'needlepoint tasks list' names them. A JSONL file has clean,
corrupt, answer and wrong on each line. A Python file, which is run, defines a
behaviour named TASK (needlepoint.tasks.Task).
Metric: what ablating a head is to change; kl is how far the prediction moves.
Names: L23.H3 is head 3 of layer 23; both are counted from 0.
Words for several: sae (scores of codes and change_and_answer; nothing is
ablated, heads are candidates), fast (the quicker head scores and circuit
methods), all. sae leaves out calibrated codes, which take longer than the rest.
Controls (they come with all but head scores named alone): mean_difference,
effect_size, linear_probe, output_norm, layer_index, random.
Head scores (they read activations): discrete_sae, discrete_sae_edges,
change_and_answer, consistent_change, calibrated_sae, code_information,
code_variation, calibrated_count, code_mean_shift, code_log_loss, code_energy,
mean_difference, effect_size, linear_probe, paired_difference,
paired_singular_value, untrained_codes, kmeans_codes, distinct_codes,
output_norm, layer_index, random.
Circuit methods (they run the model): eap, eap_gim, eap_ig_inputs,
eap_ig_activations, activation_magnitude, random_edges, information_flow,
attribution_patching, hisp, acdc, path_patching, subnetwork_probing,
edge_pruning, code_edges.
Variants with GIM's backward pass (where named, not in all): eap_ig_inputs_gim,
eap_ig_activations_gim, attribution_patching_gim."""

EXPLORE = """\
Examples:
  needlepoint explore
  needlepoint explore my-run other-run --model EleutherAI/pythia-70m
  needlepoint explore my-runs --model none

Stop it with Ctrl+C. Nothing leaves this machine, and runs are only read."""

COMPARE = """\
Example:
  needlepoint compare runs/clean runs/other-seed"""

CIRCUITS = """\
Examples:
  needlepoint circuits export my-run circuit.json --method eap --size 500
  needlepoint circuits judge circuit.json --task ioi"""

CIRCUITS_EXPORT = """\
Examples:
  needlepoint circuits export my-run circuit.json --method eap --size 500
  needlepoint circuits export my-run heads.json --level nodes --method effect
  needlepoint circuits export my-run mib.json --layout eap-ig"""

CIRCUITS_JUDGE = """\
Examples:
  needlepoint circuits judge circuit.json --task ioi
  needlepoint circuits judge importances.json --shared sum --pairs 40 \\
      --random-circuits 100"""

PROBE = """\
Examples:
  needlepoint probe --features programming_language
  needlepoint probe --features my-labels.csv --max-k 16 --out my-run

Collections: 'needlepoint features list' names them.
Names: L12.N345 is neuron 345 of layer 12; both are counted from 0.
A table (CSV, JSONL or Parquet) has a column 'text', and a column 'label' or,
for labelled stretches of characters, 'spans'. A Python file, which is run,
defines a collection named SPEC (needlepoint.features.CollectionSpec)."""

RANK = """\
Examples:
  needlepoint rank programming_language
  needlepoint rank my-labels.csv --by best_f1 --top 10 --out neurons.csv
  needlepoint rank my-labels.csv --by l1_logistic --candidates 128

Rankings: mean_difference, mean_difference_std, f_statistic, auc, best_f1,
best_mcc, mutual_information, random (the control).
Rankings of candidates, by a second pass: l1_logistic, linear_svm."""

NEURON = """\
Examples:
  needlepoint neuron L12.N345
  needlepoint neuron L12.N345 L3.N7 --features programming_language:python
  needlepoint neuron L12.N345 --text my-book.txt --texts 400

Texts: without --text, packaged mail, speeches, a novel, translations and
source code. More texts find more n-grams. Labels come from test documents of
a collection: 'needlepoint features list' names them."""

SUPERPOSITION = """\
Examples:
  needlepoint superposition
  needlepoint superposition --word social-security --layers 0-6
  needlepoint superposition --compounds clinical-trials cell-lines
  needlepoint superposition --compounds all

Words: those of the collection compound_words, which
'needlepoint features show compound_words' names."""

CONTEXT = """\
Examples:
  needlepoint context
  needlepoint context --features programming_language
  needlepoint context --features my-labels.csv --ablate-classes 2

Labels are of whole texts: a collection such as natural_language,
programming_language or data_source, or a table with a column 'label'."""

WEIGHTS = """\
Examples:
  needlepoint weights
  needlepoint weights --model EleutherAI/pythia-70m --fold centred"""

SCALING = """\
Examples:
  needlepoint scaling smollm2 untrained:smollm2
  needlepoint scaling EleutherAI/pythia-70m EleutherAI/pythia-160m \\
      --features programming_language compound_words

Models are loaded one after the other. 'untrained:' before a name stands for
random weights in that model's shape: the control for what tokens alone give."""

TASKS = """\
Examples:
  needlepoint tasks list
  needlepoint tasks show ioi
  needlepoint tasks check ioi --model smollm2"""

TASKS_LIST = """\
Example:
  needlepoint tasks list"""

TASKS_SHOW = """\
Examples:
  needlepoint tasks show ioi
  needlepoint tasks show ioi --corruption swap --pairs 8
  needlepoint tasks show my-pairs.jsonl --model EleutherAI/pythia-70m"""

TASKS_CHECK = """\
Examples:
  needlepoint tasks check
  needlepoint tasks check ioi my-pairs.jsonl --pairs 200"""

MODELS = """\
Examples:
  needlepoint models
  needlepoint models --check smollm2"""

REPORT = """\
Example:
  needlepoint report needlepoint-runs/demo-20260131-120000"""

FIGURES = """\
Examples:
  needlepoint figures needlepoint-runs/demo-20260131-120000
  needlepoint figures my-run --format svg --width 3.25 --out paper/figures
  needlepoint figures my-run --only causal-effect"""

FEATURES = """\
Examples:
  needlepoint features list
  needlepoint features show programming_language python"""

FEATURES_LIST = """\
Example:
  needlepoint features list"""

FEATURES_SHOW = """\
Examples:
  needlepoint features show programming_language
  needlepoint features show programming_language python html --n 5
  needlepoint features show my-labels.csv"""

CHECK = """\
Examples:
  needlepoint check my-pairs.jsonl
  needlepoint check my-labels.csv --model EleutherAI/pythia-70m
  needlepoint check my_task.py"""
