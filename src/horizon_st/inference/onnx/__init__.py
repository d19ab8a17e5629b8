"""Trained models as ONNX graphs, and translation with them, for which PyTorch is not needed."""
