"""`systolic hierarchies`: its options."""

from __future__ import annotations

from systolic.options import JsonOption


def hierarchies(as_json: JsonOption = False) -> None:
    """List the memory hierarchies that ship with systolic; any of them, or your own TOML file, goes to --hierarchy."""
    from simulator.hierarchy.file import hierarchy_names, load_hierarchy
    from systolic.hierarchy_show import print_hierarchies

    print_hierarchies([load_hierarchy(name) for name in hierarchy_names()], as_json=as_json)
