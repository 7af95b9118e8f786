"""The MACHINE: its description, instruction set, cost models and cycle-level engine.

`simulator.replay(commands, memory)` runs raw Gemmini commands; the rest is imported from the module whose job it is.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.raw_commands import replay as replay


def __getattr__(name: str) -> object:
    """Import `replay`, and the compiled engine with it, when it is first asked for: the package itself stays light."""
    if name == "replay":
        from simulator.raw_commands import replay

        return replay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
