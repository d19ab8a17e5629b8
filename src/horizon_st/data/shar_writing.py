"""A manifest -> shards of cuts with their audio (lhotse Shar)."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from lhotse import Recording
from lhotse.audio import AudioSource
from lhotse.cut import MonoCut
from lhotse.lazy import streaming_shuffle
from lhotse.shar.writers.cut import JsonlShardWriter
from lhotse.shar.writers.tar import TarWriter
from lhotse.utils import fastcopy

from horizon_st.data.audio import SAMPLING_RATE, Cut, Samples, load_cut
from horizon_st.data.corpora.utterances import LEFT_OUT_FILE
from horizon_st.data.cuts import SURVEY_UTTERANCES
from horizon_st.data.files import make_folder, whole_file
from horizon_st.data.manifest import read_manifest
from horizon_st.errors import UserError

AudioFormat = Literal["flac", "opus"]


@dataclass(frozen=True)
class PackedCorpus:
    """What `write_shar` wrote.

    Attributes:
        folder: where the shards and, if utterances were left out, ``left_out.jsonl`` lie.
        num_utterances: in the shards.
        num_left_out: utterances whose sound cannot be read.
    """

    folder: Path
    num_utterances: int
    num_left_out: int


_SOUNDFILE_FORMATS = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}


def write_shar(
    manifest: Path,
    out: Path,
    *,
    shard_size: int = 1000,
    audio_format: AudioFormat = "flac",
    seed: int = 0,
) -> PackedCorpus:
    """Writes the shards of a manifest's utterances: their audio at 16 kHz, mono, in 16 bits.

    That is what training hears, and to the bit with FLAC if the recordings are so already. The
    order is shuffled as far as memory holds, since reading shuffles whole shards and little more.
    Utterances whose sound cannot be read are left out and listed; what else is wrong in the
    manifest is found before any sound is read.

    Args:
        manifest: JSONL of lhotse cuts.
        out: a folder that does not exist yet or is empty; it is there when all is written.
        shard_size: utterances per shard.
        audio_format: FLAC, or Opus at a fifth of its size.
        seed: of the order.

    Raises:
        UserError: the folder is not empty, a line of the manifest cannot be used, or no sound can
            be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            str(out),
            expected="a new or empty folder",
            found="files" if out.is_dir() else "a file",
            remedy="Choose another folder, or remove it.",
        )
    for cut in read_manifest(manifest):
        _check_name(cut.id)
    partial = out.with_name(f".partial-{out.name}")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    try:
        cuts = read_manifest(manifest).of_epoch(seed, 0)
        shuffled = streaming_shuffle(cuts, bufsize=SURVEY_UTTERANCES, rng=random.Random(seed))
        numbers = _write_shards(shuffled, partial, shard_size, audio_format)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return PackedCorpus(out, *numbers)


def _write_shards(
    cuts: Iterable[Cut], folder: Path, shard_size: int, audio_format: AudioFormat
) -> tuple[int, int]:
    """How many utterances were written, and how many left out."""
    texts = JsonlShardWriter(f"{folder}/cuts.%06d.jsonl.gz", shard_size)
    audio = TarWriter(f"{folder}/recording.%06d.tar", shard_size)
    num_written = num_left_out = 0
    with texts, audio, whole_file(folder / LEFT_OUT_FILE, keep_empty=False) as left_out:
        for cut in cuts:
            try:
                samples = load_cut(cut)
            except UserError as error:
                last = error
                num_left_out += 1
                left_out.write(_to_json(cut, error) + "\n")
                continue
            num_written += 1
            stored = _with_placeholder(cut, len(samples))
            texts.write(stored)
            audio.write(f"{cut.id}.{audio_format}", _encode(samples, audio_format))
            recording = json.dumps(stored.recording.to_dict(), ensure_ascii=False)
            audio.write(f"{cut.id}.json", BytesIO(recording.encode()), count=False)
    if not num_written:
        raise last
    return num_written, num_left_out


def _to_json(cut: Cut, error: UserError) -> str:
    """A line of the list of what was left out."""
    row = {
        "place": error.place,
        "id": cut.id,
        "reason": "unreadable audio",
        "found": f"{error.found}; expected {error.expected}",
    }
    return json.dumps(row, ensure_ascii=False)


def _with_placeholder(cut: Cut, num_samples: int) -> MonoCut:
    """The cut of a recording that is nothing but this cut, at the model's rate."""
    duration = num_samples / SAMPLING_RATE
    recording = Recording(
        id=cut.id,
        sources=[AudioSource(type="shar", channels=[0], source="")],
        sampling_rate=SAMPLING_RATE,
        num_samples=num_samples,
        duration=duration,
        channel_ids=[0],
    )
    [supervision] = cut.supervisions
    supervision = fastcopy(
        supervision, recording_id=cut.id, start=0.0, duration=duration, channel=0
    )
    return MonoCut(
        id=cut.id,
        start=0.0,
        duration=duration,
        channel=0,
        recording=recording,
        supervisions=[supervision],
    )


def _encode(samples: Samples, audio_format: AudioFormat) -> BytesIO:
    # libsndfile scales floats by 32767, but reads 16 bits as n/32768.
    scaled = np.clip(np.rint(samples * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
    kind, subtype = _SOUNDFILE_FORMATS[audio_format]
    encoded = BytesIO()
    soundfile.write(encoded, scaled, SAMPLING_RATE, format=kind, subtype=subtype)
    return encoded


def _check_name(name: str) -> None:
    path = Path(f"{name}.flac")
    if str(path.parent / path.stem) != name or "\n" in name:
        raise UserError(
            f"utterance {name}",
            expected="an id that can be the name of a file",
            found=repr(name),
            remedy="Rename it: without `//`, a leading `./` or line breaks.",
        )
