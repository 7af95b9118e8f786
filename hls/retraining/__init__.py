"""Retraining of quantised networks: straight-through gradients, learned clips, pruning masks."""
