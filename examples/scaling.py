"""Do larger models give more features a neuron of their own, if all search as many neurons?

python examples/scaling.py EleutherAI/pythia-70m EleutherAI/pythia-160m
"""

import sys

from needlepoint.evaluation.case_studies.configs import ScalingConfig
from needlepoint.evaluation.case_studies.scaling import compare_models


def main(*models, **options):
    """Compare the models, by default SmolLM2 with its untrained self; print means and gaps."""
    names = models or ("smollm2", "untrained:smollm2")
    study = compare_models(config=ScalingConfig(models=names, **options))
    print(study.record.summary["answer"], end="\n\n")
    means = study.tables["model_means"]
    print(means.pivot(index="measure", columns="model", values="f1").round(2), end="\n\n")
    gaps = study.tables["model_differences"].query("feature == 'mean'")
    print(gaps.round(2).to_string(index=False), end="\n\n")
    published = study.tables["published"]
    print(published[["model", "neurons", "f1"]].to_string(index=False))
    return study


if __name__ == "__main__":
    main(*sys.argv[1:])
