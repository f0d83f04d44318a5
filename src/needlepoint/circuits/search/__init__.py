"""Methods that look for a circuit by trying: cutting edges one after another, or learning masks."""
