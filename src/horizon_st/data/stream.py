"""The batches of epochs -> a stream that processes share and that resumes exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from horizon_st.data.collate import Batch
from horizon_st.errors import UserError


@dataclass
class Position:
    """Where a stream stands.

    Attributes:
        epoch: the current one, from 0.
        num_batches: those of the epoch that this process has consumed.
        part_sizes: batches in each part of the epoch, as far as known; resuming finds its place
            without them, too, but makes all batches before it once more.
    """

    epoch: int = 0
    num_batches: int = 0
    part_sizes: list[int] = field(default_factory=list)


class EpochBatches(Protocol):
    """Says which examples make the batches of an epoch.

    Attributes:
        part_sizes: see `Position`; where an epoch has no parts, it stays empty.
    """

    part_sizes: list[int]

    def batches(self, epoch: int, skip: int) -> Iterator[Any]:
        """The batches of the epoch but the first `skip`; the same for any number of processes."""


@dataclass
class _Refused:
    """A UserError to raise; as an exception PyTorch would not bring it back from a worker."""

    place: str
    expected: str
    found: str
    remedy: str


class _Collated(Dataset[Batch | _Refused]):
    """Collates the examples of a batch of an epoch."""

    def __init__(self, collate: Callable[[Any, int], Batch]) -> None:
        self._collate = collate

    def __getitem__(self, picked: Any) -> Batch | _Refused:
        epoch, examples = picked
        try:
            return self._collate(examples, epoch)
        except UserError as error:
            return _Refused(error.place, error.expected, error.found, error.remedy)


class _Share(Sampler[Any]):
    """(epoch, examples) of the batches of one process, from `position` to the end of the epoch.

    Every process walks through the same batches and takes every `world_size`-th, so that a step
    of all processes holds what `world_size` consecutive batches of one process would.
    """

    def __init__(self, source: EpochBatches, rank: int, world_size: int) -> None:
        self.position = Position()
        self._source = source
        self._rank = rank
        self._world_size = world_size

    def __iter__(self) -> Iterator[Any]:
        epoch = self.position.epoch
        self._source.part_sizes = [*self.position.part_sizes]
        batches = self._source.batches(epoch, self.position.num_batches * self._world_size)
        while batches_of_step := list(islice(batches, self._world_size)):
            yield epoch, _fill(batches_of_step, self._world_size)[self._rank]


def _fill(batches: list[Any], num_batches: int) -> list[Any]:
    """So many batches, the largest halved where there are fewer: no process may stay idle.

    Only where there are fewer examples than processes does one come twice.
    """
    batches = [list(batch) for batch in batches]
    while len(batches) < num_batches:
        largest = max(batches, key=len)
        middle = len(largest) // 2
        batches.append(largest[middle:])
        if middle > 0:
            del largest[middle:]
    return batches


class BatchStream:
    """Epochs of batches that continue exactly where `position` says.

    Resuming picks the epoch's batches once more up to the position, without loading audio and
    without the parts that the position knows, so that it does not depend on how far worker
    processes had read ahead. Workers live as long as the stream, and so do their caches.

    Args:
        source: the batches of each epoch.
        collate: turns the examples of a batch, and the epoch, into a Batch.
        num_workers: loading processes; 0 loads in this one.
        rank: which of the training processes this is.
        world_size: training processes that share the batches out.
    """

    def __init__(
        self,
        source: EpochBatches,
        collate: Callable[[Any, int], Batch],
        num_workers: int = 0,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.position = Position()
        self._source = source
        self._share = _Share(source, rank, world_size)
        self._loader = DataLoader(
            _Collated(collate),
            sampler=self._share,
            batch_size=None,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            # Drawing a seed for workers from PyTorch's own generator would change the dropout of
            # a run that resumes within an epoch.
            generator=torch.Generator(),
        )

    def rest_of_epoch(self) -> Iterator[Batch]:
        """The batches left in the epoch; afterwards the position is the start of the next.

        Raises:
            UserError: an utterance of the manifest cannot be used.
        """
        self._share.position = replace(self.position)
        for batch in self._loader:
            if isinstance(batch, _Refused):
                raise UserError(**vars(batch))
            self.position.num_batches += 1
            self.position.part_sizes = [*self._source.part_sizes]
            yield batch
        self.position = Position(self.position.epoch + 1, 0)

    def endless(self) -> Iterator[Batch]:
        """Batches of this and all following epochs."""
        while True:
            yield from self.rest_of_epoch()
