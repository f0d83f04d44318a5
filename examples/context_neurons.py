"""Which neurons are active throughout texts of one language, and what do they do there?

python examples/context_neurons.py programming_language
"""

import sys

from needlepoint import load_model
from needlepoint.evaluation.case_studies.configs import ContextConfig
from needlepoint.evaluation.case_studies.context import find_context_neurons


def main(features="natural_language", model="smollm2", **options):
    """Find one neuron for each class, and print it by text, by token and switched off."""
    study = find_context_neurons(load_model(model), ContextConfig(features=features, **options))
    print(study.record.summary["answer"], end="\n\n")
    neurons = study.tables["class_neurons"]
    columns = ["feature", "site", "sign", "f1", "token_f1", "token_auc", "n_perfect"]
    print(neurons[columns].round(2).to_string(index=False), end="\n\n")
    ablation = study.tables["class_ablation"]
    rise = ablation.pivot(index="feature", columns="texts", values="mean")
    print("Rise of the loss by class of text when the neuron is set to its mean:")
    print(rise.round(3).to_string())
    return study


if __name__ == "__main__":
    main(*sys.argv[1:2])
