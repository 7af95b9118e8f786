"""Firmware of a quantised network: hls4ml projects with precisions from our graph, compiled, emulated and compared."""
