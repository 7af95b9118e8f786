"""`systolic show`: its options."""

from __future__ import annotations

from systolic.network import NetworkRequest
from systolic.network_options import takes_network
from systolic.options import JsonOption


@takes_network
def show(network: NetworkRequest, as_json: JsonOption = False) -> None:
    """Show a network's operators, shapes, parameters, multiply-accumulates and arithmetic intensity."""
    from model_ir.passes.pipeline import run_passes
    from systolic.network import load_network
    from systolic.show import print_graph

    print_graph(run_passes(load_network(network)), as_json=as_json)
