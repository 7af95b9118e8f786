"""Graph in, Graph out: folding, recognition of decomposed operators, precision."""
