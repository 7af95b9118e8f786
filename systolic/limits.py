"""What a command does without being asked twice. Light, so that the command line can show it."""

MAX_SIMULATED_CYCLES = 2e10
"""About a quarter of an hour of one core; far above every network of the catalogue at its default size."""

TRACED_CYCLES = 200_000
"""Of each layer or stream: some ten thousand commands, a few megabytes of trace."""
