"""The way to firmware: training, where precision matters, and how many bits each tensor gets."""
