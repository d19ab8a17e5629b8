"""Weights to translations: decoding, scores with their signatures, significance tests."""
