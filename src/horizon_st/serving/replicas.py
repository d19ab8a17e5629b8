"""Further copies of the model, each in a process of its own with its share of the machine."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.model_folder import find_folder
from horizon_st.hardware import take_share, usable_cores
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.runtime import is_export
from horizon_st.inference.segmenter import SegmenterConfig, SpeechSegment
from horizon_st.serving.limits import LostReplicaError

Load = Callable[[], SpeechTranslator]


class ReplicaProcess:
    """A translator in a process of its own, which is started again should it die.

    Args:
        load: gives the translator there.
    """

    config: DecodingConfig
    segmenter: SegmenterConfig

    def __init__(self, load: Load) -> None:
        self._load = load
        self._start()

    def wait(self) -> None:
        """Returns when the model is loaded.

        Raises:
            UserError: there is no such model.
            LostReplicaError: the process died.
        """
        self.config, self.segmenter = self._receive()

    def translate_segments(self, segments: Sequence[SpeechSegment]) -> list[TranslatedSegment]:
        """The translations, in the same order; for one thread at a time.

        Raises:
            LostReplicaError: the process died.
        """
        if not self._process.is_alive():
            self._start()
            self.wait()
        try:
            self._connection.send(segments)
        except OSError as error:
            raise LostReplicaError from error
        translated: list[TranslatedSegment] = self._receive()
        return translated

    def close(self) -> None:
        """Ends the process after the batch that it has."""
        self._connection.close()
        self._process.join()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._load), name="replica")
        self._process.start()
        theirs.close()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise LostReplicaError from error
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def replica_processes(
    model: str, num_replicas: int, **settings: Any
) -> Iterator[list[ReplicaProcess]]:
    """So many copies of a model, loaded; their processes end with the context.

    Args:
        model: folder or hub id.
        num_replicas: they share the cores of this machine, or take its GPUs in turn.
        settings: further arguments of `SpeechTranslator.from_pretrained`.

    Raises:
        UserError: there is no such model.
    """
    folder = str(find_folder(model))
    replicas: list[ReplicaProcess] = []
    try:
        for index in range(num_replicas):
            load = partial(_load_share, index, num_replicas, folder, settings)
            replicas.append(ReplicaProcess(load))
            if index == 0:  # what is wrong with the model is found by one process, not by all
                replicas[0].wait()
        for replica in replicas[1:]:
            replica.wait()
        yield replicas
    finally:
        for replica in replicas:
            replica.close()


def _load_share(
    index: int, num_replicas: int, folder: str, settings: dict[str, Any]
) -> SpeechTranslator:
    if is_export(Path(folder)):
        settings = settings | {"num_threads": max(1, usable_cores() // num_replicas)}
    else:
        take_share(index, num_replicas)  # of what PyTorch uses, which an export does without
    return SpeechTranslator.from_pretrained(folder, **settings)


def _work(connection: Connection, load: Load) -> None:
    """Translates what comes, until the other end is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal sends them to all its processes
        signal.signal(number, signal.SIG_IGN)
    try:
        translator = load()
        connection.send((translator.config, translator.segmenter))
        while True:
            connection.send(_attempt(translator, connection.recv()))
    except (EOFError, ConnectionError):  # the server has ended
        return
    except Exception as error:  # raised where the replica was asked for
        with suppress(OSError):  # it may have ended, too
            connection.send(error)


def _attempt(
    translator: SpeechTranslator, segments: Sequence[SpeechSegment]
) -> list[TranslatedSegment] | Exception:
    try:
        return translator.translate_segments(segments)
    except Exception as error:  # raised again in the server, which logs it
        return error
