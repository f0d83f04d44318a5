"""Do five neurons of early layers, each of which means many things, mean one compound together?

python examples/superposition.py social-security
"""

import sys

from needlepoint import load_model
from needlepoint.evaluation.case_studies.configs import SuperpositionConfig
from needlepoint.evaluation.case_studies.superposition import find_superposition


def main(word="social-security", model="smollm2", **options):
    """Find the sum, and print what it and its neurons do on unseen windows."""
    study = find_superposition(load_model(model), SuperpositionConfig(word=word, **options))
    print(study.record.summary["answer"], end="\n\n")
    sums = study.tables["sums"][["probe", "sites", "f1", "f1_low", "f1_high", "gap", "gap_low"]]
    print(sums.round(2).to_string(index=False), end="\n\n")
    print(study.tables["firing"].round(2).to_string(index=False), end="\n\n")
    gaps = study.tables["bases"].query("basis == 'gap'")
    print("Best neuron minus best direction of a random basis, by layer:")
    print(gaps[["layer", "f1", "low", "high"]].round(2).to_string(index=False))
    return study


if __name__ == "__main__":
    main(*sys.argv[1:2])
