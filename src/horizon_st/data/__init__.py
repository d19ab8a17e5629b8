"""Disk -> Batch: manifests, audio, text, augmentation, sampling, collation."""
