"""Generative inference: what one step of a language model computes and moves, and what a machine makes of it."""
