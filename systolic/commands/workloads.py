"""`systolic workloads`: its options."""

from __future__ import annotations

from systolic.options import JsonOption


def workloads(as_json: JsonOption = False) -> None:
    """List the networks of the catalogue and the options each takes."""
    from systolic.show import print_workloads

    print_workloads(as_json=as_json)
