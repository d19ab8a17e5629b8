"""A corpus without a development set -> one of some of its recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from os.path import relpath
from pathlib import Path

from horizon_st.data.corpora.cutting import Utterance
from horizon_st.errors import UserError

_NUM_BITS = 64


def hold_out(
    read: Callable[[], Iterator[Utterance]], folder: Path, share: float, *, seed: int = 1
) -> dict[str, Iterator[Utterance]]:
    """The utterances as ``train`` and ``dev``: all of one recording are in the same of both.

    A hash of the seed and the recording's path decides, so nothing is held in memory. At least one
    recording is held out, and at least one is not.

    Args:
        read: gives the utterances, each time anew.
        folder: where paths are taken to start, so that a corpus that moves stays split as it was.
        share: about what share of the recordings is held out.
        seed: another one holds out others.

    Raises:
        UserError: the share is not between 0 and 1, or there are fewer than two recordings.
    """
    if not 0 < share < 1:
        raise UserError(
            "--dev-share",
            expected="a share of the recordings between 0 and 1",
            found=share,
            remedy="0.1 holds out a tenth of them.",
        )

    def rank(utterance: Utterance) -> int:
        name = f"{seed} {relpath(utterance.audio, folder)}".encode(errors="surrogatepass")
        return int.from_bytes(blake2b(name, digest_size=_NUM_BITS // 8).digest(), "big")

    lowest, highest = 1 << _NUM_BITS, -1
    for value in map(rank, read()):
        lowest, highest = min(lowest, value), max(highest, value)
    if lowest >= highest:
        raise UserError(
            str(folder),
            expected="two recordings at least, to hold out one",
            found="one" if lowest == highest else "none",
            remedy="Cut the recording into files, or name the split of each row in a column split.",
        )
    limit = min(max(int(share * (1 << _NUM_BITS)), lowest), highest - 1)
    return {
        "train": (utterance for utterance in read() if rank(utterance) > limit),
        "dev": (utterance for utterance in read() if rank(utterance) <= limit),
    }
