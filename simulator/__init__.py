"""The MACHINE: its description, instruction set, cost models and cycle-level engine."""
