"""docs/sae_sensitivity.md and its figures."""


def write_page(records): ...
