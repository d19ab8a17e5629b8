"""Many files -> their translations, one after the other or into a folder that can be continued."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from horizon_st.data.audio_file import audio_info
from horizon_st.data.files import fitting_name, make_folder, refuse_originals
from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.errors import UserError
from horizon_st.inference.formats import UNSURE_BELOW, Format, TranslatedRecording, to_text
from horizon_st.inference.outputs import KeptOutput, Outputs
from horizon_st.inference.pipeline import SpeechTranslator, TranslatedSegment
from horizon_st.inference.record import Locks, Record, record_folder, settings_of
from horizon_st.inference.recordings import blocks_of
from horizon_st.inference.segmenter import SpeechSegment
from horizon_st.inference.utterance import read_utterance, too_long

OnProgress = Callable[[float, float], None]
"""Called with the seconds of sound that are done, and all of them."""


@dataclass(frozen=True)
class MediaFile:
    """A file to translate.

    Attributes:
        duration_s: of its sound.
        error: what is wrong with it, where it cannot be read.
    """

    path: Path
    duration_s: float = 0.0
    error: UserError | None = None


@dataclass(frozen=True)
class FileSegment:
    """The next segment of a file."""

    file: MediaFile
    segment: TranslatedSegment


@dataclass(frozen=True)
class FileEnd:
    """The end of a file, or what was wrong with it."""

    file: MediaFile
    error: UserError | None = None


def examine(paths: Sequence[Path]) -> list[MediaFile]:
    """The files, whose lengths or faults are known now, before hours of work.

    Raises:
        UserError: none of them can be read; it is the first one's.
    """
    files = []
    for path in paths:
        try:
            info = audio_info(path, conceals=True)
        except UserError as error:
            files.append(MediaFile(path, error=error))
        else:
            files.append(MediaFile(path, info.num_samples / info.sampling_rate))
    errors = [file.error for file in files if file.error is not None]
    if errors and len(errors) == len(files):
        raise errors[0]
    return files


def translate_files(
    translator: SpeechTranslator,
    files: Sequence[MediaFile],
    *,
    one_utterance: bool = False,
    on_progress: OnProgress | None = None,
) -> Iterator[FileSegment | FileEnd]:
    """Every segment in the order of files and times, and after those of a file its end.

    A file that turns out to be damaged, or not to be an utterance, does not stop the others.

    Args:
        translator: the model.
        files: what `examine` found.
        one_utterance: never cut a file.
        on_progress: is told how far it is.
    """
    return _Translation(translator, one_utterance, on_progress).run(files)


def translate_into(
    folder: Path,
    form: Format,
    translator: SpeechTranslator,
    files: Sequence[MediaFile],
    *,
    unsure_below: float = UNSURE_BELOW,
    one_utterance: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Iterator[tuple[Path, TranslatedRecording | KeptOutput | UserError]]:
    """Each output, as soon as it is there whole: its path, and what it holds or went wrong.

    One that somebody has changed since it was written stays as it is; these come first.

    What was translated stays in the folder's ``.horizon-st``, so that the same call continues where
    it was stopped, and nothing is translated again for another format.

    Args:
        folder: where NAME.txt and so on are written, or replaced if they come from there.
        form: of the outputs.
        translator: the model.
        files: what `examine` found.
        unsure_below: confidence below which a segment is marked.
        one_utterance: never cut a file.
        overwrite: whether to replace whatever has the name of an output.
        on_progress: is told how far it is.

    Raises:
        UserError: the folder cannot be written to, or its disk is full, or an output would have the
            name of another one, of an input, or of what is there from another recording or from
            elsewhere.
    """
    files = list(dict.fromkeys(files))
    targets = _targets(files, folder, form)
    make_folder(folder)
    refuse_originals(targets.values(), [file.path for file in files if file.path.exists()])
    beside, settings = record_folder(folder), settings_of(translator, one_utterance)
    make_folder(beside)
    written = Outputs(beside, overwrite=overwrite)
    kept = [
        file
        for file in files
        if file.error is None and written.is_changed(targets[file.path], file.path)
    ]
    for file in kept:
        yield targets[file.path], KeptOutput()
    files = [file for file in files if file not in kept]
    with Locks(beside) as locks, _Records(beside, settings, locks) as records:
        segments: list[TranslatedSegment] = []
        for event in _Translation(translator, one_utterance, on_progress, records).run(files):
            if isinstance(event, FileSegment):
                segments.append(event.segment)
                continue
            file, target = event.file, targets[event.file.path]
            if event.error is not None:
                records.close(file)
                yield target, event.error
            else:
                whole = TranslatedRecording(
                    str(file.path), file.duration_s, segments, unsure_below=unsure_below
                )
                records.finish(file)
                yield target, _write(written, target, whole, form)
            segments = []


def _write(
    written: Outputs, target: Path, whole: TranslatedRecording, form: Format
) -> TranslatedRecording | KeptOutput | UserError:
    """What became of an output, at whose place something may have come meanwhile."""
    recording = Path(whole.source)
    try:
        if written.is_changed(target, recording):
            return KeptOutput()
    except UserError as error:
        return error
    written.write(target, to_text(whole, form), recording)
    return whole


class _Records:
    """The records of the files under work; a context that closes them."""

    def __init__(self, folder: Path, settings: dict[str, object], locks: Locks) -> None:
        self._folder = folder
        self._settings = settings
        self._locks = locks
        self._open: dict[Path, tuple[ExitStack, Record]] = {}

    def __enter__(self) -> _Records:
        return self

    def __exit__(self, *error: object) -> None:
        for stack, _ in self._open.values():
            stack.close()

    def of(self, file: MediaFile) -> Record:
        """The record of a file."""
        if file.path not in self._open:
            stack = ExitStack()
            record = stack.enter_context(
                Record.open(self._folder, file.path, self._settings, self._locks)
            )
            self._open[file.path] = stack, record
        return self._open[file.path][1]

    def finish(self, file: MediaFile) -> None:
        """Closes the record of a file of which nothing is missing."""
        self.of(file).finish()
        self.close(file)

    def close(self, file: MediaFile) -> None:
        """Closes the record of a file, if it is open."""
        if file.path in self._open:
            self._open.pop(file.path)[0].close()


@dataclass(frozen=True)
class _Piece:
    """A stretch of a file that is under work, or needs none.

    Attributes:
        covered_s: of the file, from the end of the piece before to the end of this one.
        event: what is known of it already.
    """

    file: MediaFile
    covered_s: float
    event: FileSegment | FileEnd | None = None


class _Translation:
    """Translates files, their segments batched together."""

    def __init__(
        self,
        translator: SpeechTranslator,
        one_utterance: bool,
        on_progress: OnProgress | None,
        records: _Records | None = None,
    ) -> None:
        self._translator = translator
        self._one_utterance = one_utterance
        self._on_progress = on_progress
        self._records = records
        self._done_s = self._total_s = 0.0

    def run(self, files: Sequence[MediaFile]) -> Iterator[FileSegment | FileEnd]:
        self._total_s = sum(file.duration_s for file in files)
        for piece, segment in self._translator.translate_pieces(
            self._pieces(files), on_translated=self._keep
        ):
            if segment is not None:
                yield FileSegment(piece.file, segment)
                continue
            assert piece.event is not None, "all others are translated"
            self._advance(piece)
            yield piece.event

    def _keep(self, piece: _Piece, segment: TranslatedSegment) -> None:
        """Records a translation whose turn may come later: a kill loses a batch at most."""
        if self._records is not None:
            self._records.of(piece.file).add(segment)
        self._advance(piece)

    def _advance(self, piece: _Piece) -> None:
        self._done_s += piece.covered_s
        if self._on_progress is not None:
            self._on_progress(self._done_s, self._total_s)

    def _pieces(self, files: Sequence[MediaFile]) -> Iterator[tuple[_Piece, SpeechSegment | None]]:
        """Each stretch of speech, without it where its translation is known; and ends of files."""
        for file in files:
            error = file.error
            until_s = 0.0
            if error is None:
                try:
                    for segment in self._segments_of(file):
                        # A header may claim less than there is.
                        covered_s = min(segment.end_s, file.duration_s) - until_s
                        until_s += covered_s
                        if isinstance(segment, SpeechSegment):
                            yield _Piece(file, covered_s), segment
                        else:
                            yield _Piece(file, covered_s, FileSegment(file, segment)), None
                except UserError as found:  # handed on; the next file may be whole
                    error = found
            yield _Piece(file, file.duration_s - until_s, FileEnd(file, error)), None

    def _segments_of(self, file: MediaFile) -> Iterator[SpeechSegment | TranslatedSegment]:
        """Those of a file, as they are known."""
        record = None if self._records is None else self._records.of(file)
        if record is not None and record.is_finished:
            yield from record.segments
            return
        for speech in self._speech_of(file):
            yield (None if record is None else record.get(speech)) or speech

    def _speech_of(self, file: MediaFile) -> Iterator[SpeechSegment]:
        if not self._one_utterance:
            yield from self._translator.cut(file.path)
            return
        runtime, name = self._translator.runtime, str(file.path)
        if not runtime.can_take(round(file.duration_s * SAMPLING_RATE)):
            raise too_long(name, file.duration_s)
        yield read_utterance(runtime, blocks_of(file.path), name)


def _targets(files: Sequence[MediaFile], folder: Path, form: Format) -> dict[Path, Path]:
    inputs: dict[Path, Path] = {}
    for file in files:
        target = folder / fitting_name(file.path.stem, ending=f".{form}")
        if target in inputs:
            raise UserError(
                str(file.path),
                expected="files of different names",
                found=f"{inputs[target]}, which would become {target} as well",
                remedy="Translate them into two folders, or rename one.",
            )
        inputs[target] = file.path
    return {path: target for target, path in inputs.items()}
