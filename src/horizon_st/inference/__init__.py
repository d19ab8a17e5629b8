"""Recordings to translated text with a trained model."""
