"""The dossier of a neuron: what it responds to, what it writes, and what it is used for."""
