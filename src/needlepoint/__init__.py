"""needlepoint: find the neurons and heads of a language model that matter, and check them."""
