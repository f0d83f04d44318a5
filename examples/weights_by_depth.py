"""How do the weights of neurons change with depth, and is it as in the published models?

python examples/weights_by_depth.py EleutherAI/pythia-70m
"""

import sys

from needlepoint import load_model
from needlepoint.evaluation.case_studies.configs import WeightsConfig
from needlepoint.evaluation.case_studies.weights_by_depth import find_weights_by_depth


def main(model="smollm2", **options):
    """Print the medians of every statistic by layer, trained and untrained."""
    study = find_weights_by_depth(load_model(model, dtype="float32"), WeightsConfig(**options))
    print(study.record.summary["answer"], end="\n\n")
    table = study.tables["depth_weights"].query("weights == 'trained'")
    print(table.pivot(index="layer", columns="statistic", values="p50").round(3).to_string())
    return study


if __name__ == "__main__":
    main(*sys.argv[1:2])
