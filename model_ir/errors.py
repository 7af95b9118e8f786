"""The errors a user can cause: each names where (path), what was found (value), and what would have been right (limit).

Nothing else of the project lives here. Commands turn `InputError` into exit code 2 and `InfeasibleError` into 1.
"""


class SystolicError(Exception):
    """Root of every error that has a one-line message for the user; `exit_code` is the process's."""

    exit_code = 2


class InputError(SystolicError):
    """A file, option or description that cannot be used: `path`, the `value` found there, and what is wrong."""

    def __init__(self, path: str, problem: str, *, value: object = None, limit: object = None) -> None:
        """Build the line `path: problem (value ..., limit ...)`; `value` and `limit` carry their units."""
        details = [f"{label} {item}" for label, item in (("value", value), ("limit", limit)) if item is not None]
        super().__init__(f"{path}: {problem}" + (f" ({', '.join(details)})" if details else ""))
        self.path = path
        self.problem = problem
        self.value = value
        self.limit = limit


class UnsupportedOperatorError(InputError):
    """An operator that no class of the IR represents; the message names operator, node and file."""


class InfeasibleError(SystolicError):
    """A well-formed question without an answer: `demand` exceeds `capacity` (both in `unit`) by a stated amount."""

    exit_code = 1

    def __init__(self, what: str, *, demand: float, capacity: float, unit: str, hint: str = "") -> None:
        """Build the line that says which demand exceeds which capacity, by how much, and what would help."""
        excess = demand - capacity
        message = f"{what}: needs {demand:g} {unit}, has {capacity:g} {unit} ({excess:g} {unit} too many)"
        super().__init__(message + (f"; {hint}" if hint else ""))
        self.demand = demand
        self.capacity = capacity
        self.unit = unit
