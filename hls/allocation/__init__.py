"""Bits for every tensor under budgets: an integer program with proof, and Pareto fronts."""
