"""Exact skipping of what a machine has done before: segments of a stream whose outcome is remembered, not simulated."""
