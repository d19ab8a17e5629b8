"""Graphs in 32-bit floats -> graphs whose matrix products with weights are of 8-bit integers."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from horizon_st.inference.onnx.folder import GRAPHS, graph_path

_MATRIX_PRODUCTS = ("MatMul", "Gemm")
_MOST_BYTES = 1 << 30
"""Beyond, weights get a file of their own: ONNX's limit is 2 GiB, and embeddings stay floats."""


def quantize(folder: Path) -> None:
    """Replaces the graphs of an export by smaller and faster ones.

    Weights are rounded once, channel by channel; what they are multiplied with, at run time.
    """
    for name in GRAPHS:
        path = graph_path(folder, name)
        exact = onnx.load(path)
        _transpose_weights(exact.graph)
        files = [*folder.glob(f"{path.name}*")]  # weights may have one of their own
        is_large = sum(file.stat().st_size for file in files) > _MOST_BYTES
        for file in files:
            file.unlink()
        quantize_dynamic(
            exact,
            path,
            op_types_to_quantize=[*_MATRIX_PRODUCTS],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=is_large,
        )


def _transpose_weights(graph: onnx.GraphProto) -> None:
    """Stores weights the way that matrix products read them.

    The output layer's are the embeddings, too: they stand in the graph as those are looked up, and
    are turned round each time, which hides that they are weights.
    """
    weights = {weight.name: weight for weight in graph.initializer}
    turned = [
        node for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights
    ]
    for node in turned:
        axes = next((one.ints for one in node.attribute if one.name == "perm"), None)
        values = numpy_helper.to_array(weights[node.input[0]]).transpose(axes)
        graph.initializer.append(numpy_helper.from_array(values.copy(), node.output[0]))
        graph.node.remove(node)
