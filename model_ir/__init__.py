"""WHAT is computed: tensors, operators, graphs and the loop nests that every cost model and mapper sees."""
