"""Decisions over a whole graph: fusion, what stays on chip, recomputation, several arrays."""
