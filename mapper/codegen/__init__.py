"""From a mapping to Gemmini's commands."""
