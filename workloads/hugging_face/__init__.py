"""Reads a Hugging Face config.json as a `LanguageModel`."""
