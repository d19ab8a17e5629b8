"""Batch -> logits: speech encoder, subsampler and the shared text model in one PreTrainedModel."""
