"""Load a model, name its sites, hook them, check them."""
