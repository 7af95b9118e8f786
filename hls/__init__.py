"""The way to firmware: where precision matters, and how many bits each tensor gets."""
