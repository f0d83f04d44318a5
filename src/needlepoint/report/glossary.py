"""The words a reader needs, each explained in a sentence or two."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "token": "The piece of text a language model reads and writes: a word, part of a word, or a "
    "sign.",
    "head": "An attention head: a small unit that copies information from earlier tokens to the "
    "current one. A layer has several; L3.H7 is head 7 of layer 3, both counted from 0.",
    "neuron": "One number inside a layer's feed-forward part (MLP), computed anew for every "
    "token. L3.N12 is neuron 12 of layer 3. Here it is read just before the layer's last "
    "multiplication.",
    "residual stream": "The running sum that every layer of the model reads from and adds to; "
    "the only path by which layers talk to each other.",
    "clean and corrupt prompt": "Two prompts that are alike except for one detail which decides "
    "the answer. Comparing them isolates what the model does with that detail.",
    "logit difference": "The model's score (logit) for the right answer minus its score for the "
    "wrong one, means where there are several. Positive means that it prefers the right answer; 1 "
    "more makes the right answer about 2.7 times as likely relative to the wrong one.",
    "probability difference": "The probability that the next token is one of the right answers "
    "minus the probability that it is one of the wrong ones, from -1 to 1. Used where several "
    "tokens are right, such as every digit above a given one.",
    "resample ablation": "Replacing what a part of the model puts out by what it puts out on the "
    "corrupt prompt, and watching the answer. A causal test: the part is changed and nothing else.",
    "zero and mean ablation": "Switching a neuron off by setting it to zero, or by holding it at "
    "its average.",
    "circuit": "The set of parts that together carry out a behaviour.",
    "faithfulness": "How much of the behaviour is left when only the circuit works normally: 0 "
    "nothing, 1 all of it.",
    "completeness": "How much of the behaviour is gone when only the circuit is taken out: 1 "
    "nothing is left, 0 nothing is missed. Above 1 what is left is against the right answer.",
    "minimality": "Whether each part of a circuit is needed: taken out alone, it changes "
    "faithfulness by more than nearly all random parts do that are put in from outside.",
    "discrete sparse autoencoder": "A network trained to describe what a head puts out by one "
    "code from a list. Heads that use other codes on clean than on corrupt prompts get high "
    "scores.",
    "sparse probe": "A classifier that may read only k neurons. If few neurons suffice, the model "
    "keeps the feature in few places.",
    "F1": "Balance of precision (how many of the texts flagged have the feature) and recall (how "
    "many of those that have it were flagged). 1 is perfect.",
    "AUC": "The probability that a randomly drawn positive gets a higher score than a randomly "
    "drawn negative. 1 is perfect, 0.5 is guessing.",
    "average precision": "Precision averaged over the places of the positives in a ranking. A "
    "random order gets the share of positives.",
    "precision at k": "Of the first k heads of a ranking, the share that really matter, with k the "
    "number of heads that do. 1 means that the ranking puts exactly those first.",
    "repo-F1": "The paper's own F1: what the authors of the discrete autoencoder call F1 in their "
    "code and figures. It balances the share of heads that matter which are found and the share of "
    "the others which are left out, at the cut of the ranking that suits it best. Where few heads "
    "matter it is much higher than F1.",
    "in common (Jaccard index)": "Units in both of two sets as a share of those in either: 1 if "
    "the sets are the same, 0 if they share nothing. Two sets of one size that share two thirds of "
    "their units have 0.5.",
    "edge": "A connection of a circuit: what one part (the writer) adds to the residual stream, as "
    "far as one input of another part (the reader) gets to see it. L0.H1 to L3.H5.q is from head 1 "
    "of layer 0 to the queries of head 5 of layer 3; L3.K0 is a key input that several heads can "
    "share.",
    "path patching": "Replacing what one writer says to one reader, and nothing else: the exact "
    "effect of one edge. It takes a run for each edge, where other methods estimate all at once.",
    "CPR": "Circuit performance ratio: the area under faithfulness as the circuit grows from few "
    "edges to all, taking first the edges that a method says help. Larger is better, near 1 is "
    "good, and above 1 the circuits do better than the whole model.",
    "CMD": "Circuit-model distance: the area between faithfulness and 1 as the circuit grows, "
    "taking the edges with the largest scores first, whatever their sign. 0 is best.",
    "certificate": "For a probe of k neurons, the lowest training loss found (objective) and a "
    "bound that no other k neurons of the layer can be below. A gap of 0 between them proves that "
    "the neurons are the best ones. Gamma is the strength of the fit: the smaller, the heavier the "
    "ridge penalty and the easier the proof.",
    "MCC": "Matthews correlation coefficient: the correlation of what a probe calls and what is "
    "so. 1 is perfect, 0 is guessing.",
    "p and q": "p: how often chance alone does as well. q: the same where many questions were "
    "asked at once; of all that are below a q of 0.05, about one in twenty is chance.",
    "interval": "The range in which the value would likely lie if other examples of the same kind "
    "had been drawn; 95 % unless another level is given.",
    "training, validation and test texts": "Probes are fitted on the first, choices are made on "
    "the second, and the third is used once, at the end, to judge.",
    "shuffled labels": "The control: the same search with labels that mean nothing. Whatever it "
    "finds is chance.",
    "not defined": "A value that has no meaning for these data, for instance because "
    "only one class was present. It is never shown as 0.",
}
