"""Quantised networks out to QONNX files, and run by qonnx's own executor."""
