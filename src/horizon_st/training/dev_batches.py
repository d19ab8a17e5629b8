"""The dev set as one process measures it: its share, in batches, by a model that does not learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from lhotse.cut import MonoCut
from torch import nn

from horizon_st.data.collate import Batch, Collator
from horizon_st.data.manifest import transcript_of


class DevBatches:
    """This process's share of the dev set, in batches of similar length.

    Args:
        cuts: the dev set.
        collate: makes the batches.
        batch_size: their utterances.
        accelerator: knows the processes.
        needs_transcript: whether utterances without one are left out.
    """

    def __init__(
        self,
        cuts: list[MonoCut],
        collate: Collator,
        batch_size: int,
        accelerator: Accelerator,
        *,
        needs_transcript: bool,
    ) -> None:
        usable = [cut for cut in cuts if not needs_transcript or transcript_of(cut) is not None]
        by_length = sorted(usable, key=lambda cut: cut.duration)
        self.cuts = by_length[accelerator.process_index :: accelerator.num_processes]
        self._collate = collate
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[list[MonoCut], Batch]]:
        """The cuts of each batch, and the batch."""
        for start in range(0, len(self.cuts), self._batch_size):
            cuts = self.cuts[start : start + self._batch_size]
            yield cuts, self._collate(cuts)


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and without gradients; its mode is put back."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():  # see decoding.generate for why not inference_mode
            yield
    finally:
        model.train(was_training)
