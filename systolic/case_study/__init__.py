"""The accelerator case study of the full-stack survey, step by step on this suite's own models."""
