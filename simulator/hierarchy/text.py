"""A mapping as the loops it is, indented, with what each level keeps: to read, as Timeloop's mapping files are."""

from __future__ import annotations

from simulator.hierarchy.description import ROLES, Hierarchy
from simulator.hierarchy.mapping import HierarchyMapping, check_legal, kept_bytes, tile_elements, tile_extents
from simulator.hierarchy.nest import TensorNest


def loop_text(nest: TensorNest, mapping: HierarchyMapping, hierarchy: Hierarchy) -> str:
    """Lines of text; raises what `check_legal` raises for a mapping that does not fit.

    `for` takes chunks one after the other, `parallel for` on different instances; `of` says positions a chunk, and, in
    brackets, how many the last one has where it is smaller.
    """
    loops = check_legal(nest, mapping, hierarchy)
    lines = []
    depth = 0
    for index, level in enumerate(hierarchy.levels):
        held = []
        for role in ROLES:
            if role in mapping.levels[index].keeps:
                elements = tile_elements(nest.operand(role), tile_extents(nest, loops, index))
                size = kept_bytes(nest, loops, mapping, hierarchy, index, role)
                held.append(f"{role} {elements:,} ({size:,} B)")
        lines.append("  " * depth + f"[{level.name}] {', '.join(held) or 'nothing'}")
        for loop in loops:
            if loop.level != index or loop.trips == 1:
                continue
            where = "for" if loop.axis is None else "parallel for"
            rest = loop.extent % loop.tile
            last = f" (last {rest})" if rest else ""
            along = "" if loop.axis is None else f" along {loop.axis}"
            lines.append("  " * depth + f"{where} {loop.dim} in {loop.trips} of {loop.tile}{last}{along}")
            depth += 1
    lines.append("  " * depth + "multiply-accumulate")
    return "\n".join(lines)
