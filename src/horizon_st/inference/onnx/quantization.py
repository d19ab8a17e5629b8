"""Graphs in 32-bit floats -> graphs whose matrix products with weights are of 8-bit integers."""

from __future__ import annotations

from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from horizon_st.inference.onnx.folder import GRAPHS, graph_path

_MATRIX_PRODUCTS = ("MatMul", "Gemm")


def quantize(folder: Path) -> None:
    """Replaces the graphs of an export by smaller and faster ones.

    Weights are rounded once, channel by channel; what they are multiplied with, at run time.
    """
    for name in GRAPHS:
        path = graph_path(folder, name)
        exact = path.with_suffix(".exact")
        path.rename(exact)
        quantize_dynamic(
            exact,
            path,
            op_types_to_quantize=[*_MATRIX_PRODUCTS],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        exact.unlink()
