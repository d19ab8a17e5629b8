"""A corpus without a development set -> one of some of its recordings, or of its speakers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from os.path import relpath
from pathlib import Path
from typing import Literal

from horizon_st.data.corpora.cutting import Utterance
from horizon_st.errors import UserError

_NUM_BITS = 64

HeldOutBy = Literal["recording", "speaker"]
"""Of which all utterances are in the same split."""


def hold_out(
    read: Callable[[], Iterator[Utterance]],
    folder: Path,
    share: float,
    *,
    by: HeldOutBy = "recording",
    seed: int = 1,
) -> dict[str, Iterator[Utterance]]:
    """The utterances as ``train`` and ``dev``: all of one recording are in the same of both.

    A hash of the seed and the recording's path decides, so nothing is held in memory. At least one
    recording is held out, and at least one is not. Likewise of speakers, by their names; utterances
    without one then go by their recording.

    Args:
        read: gives the utterances, each time anew.
        folder: where paths are taken to start, so that a corpus that moves stays split as it was.
        share: about what share of the recordings or speakers is held out.
        by: whether a recording stays together, or a speaker.
        seed: another one holds out others.

    Raises:
        UserError: the share is not between 0 and 1, there are fewer than two recordings or
            speakers, or no speaker is named.
    """
    if not 0 < share < 1:
        raise UserError(
            "--dev-share",
            expected="a share of the recordings between 0 and 1",
            found=share,
            remedy="0.1 holds out a tenth of them.",
        )

    def rank(utterance: Utterance) -> int:
        is_named = by == "speaker" and utterance.speaker is not None
        of = f"speaker {utterance.speaker}" if is_named else relpath(utterance.audio, folder)
        name = f"{seed} {of}".encode(errors="surrogatepass")
        return int.from_bytes(blake2b(name, digest_size=_NUM_BITS // 8).digest(), "big")

    lowest, highest = 1 << _NUM_BITS, -1
    has_speakers = False
    for utterance in read():
        value = rank(utterance)
        lowest, highest = min(lowest, value), max(highest, value)
        has_speakers = has_speakers or utterance.speaker is not None
    if by == "speaker" and not has_speakers:
        raise UserError(
            str(folder),
            expected="a column speaker, to hold speakers out",
            found="no speaker in any row",
            remedy="Name who speaks in each row, or hold out recordings.",
        )
    if lowest >= highest:
        raise UserError(
            str(folder),
            expected=f"two {by}s at least, to hold out one",
            found="one" if lowest == highest else "none",
            remedy="Divide it, or name the split of each row in a column split.",
        )
    limit = min(max(int(share * (1 << _NUM_BITS)), lowest), highest - 1)
    return {
        "train": (utterance for utterance in read() if rank(utterance) > limit),
        "dev": (utterance for utterance in read() if rank(utterance) <= limit),
    }
