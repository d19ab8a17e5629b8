"""Corpora that the package knows how to prepare."""
