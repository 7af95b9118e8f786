"""Quantisation that is exact: grids, clipping, calibration, Quants in a graph, and the same network in integers."""
