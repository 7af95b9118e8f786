"""ONNX and QONNX files in, Graph out. Only this folder may read ONNX."""

from model_ir.onnx_import.convert import import_onnx

__all__ = ["import_onnx"]
