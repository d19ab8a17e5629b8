"""Text pairs beside train -> those that also stand in a split which is held out from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence, Set
from filecmp import cmp
from pathlib import Path

import numpy as np

from horizon_st.data.files import whole_file
from horizon_st.data.text_pairs import (
    PAIRS_FILE,
    Pair,
    TextPairs,
    find_text_pairs,
    read_text_pairs,
    write_text_pairs,
)
from horizon_st.data.validation.columns import SIDES, SplitColumns
from horizon_st.data.validation.manifests import held_out_rank, split_name
from horizon_st.data.validation.problems import Problem
from horizon_st.data.validation.texts import fingerprint
from horizon_st.errors import UserError

Progress = Callable[[str, int, int], None]

_BAR_NAME = "text pairs"
_PAIRS_PER_CALL = 1000


def text_pairs_of(manifests: Sequence[Path]) -> Path | None:
    """The file of text pairs beside train."""
    for manifest in manifests:
        if held_out_rank(split_name(manifest)) == 0:
            pairs = find_text_pairs(manifest.parent)
            if pairs is not None:
                return pairs
    return None


def problems_of_text_pairs(
    splits: Sequence[SplitColumns], progress: Progress | None = None
) -> Iterator[Problem]:
    """The pairs beside train that are held out; if the file is damaged, that.

    Args:
        splits: of one corpus.
        progress: called now and then with a name, the pairs read so far, and all of them.
    """
    path = text_pairs_of([split.manifest for split in splits])
    held_out = _held_out(splits)
    if path is None:
        return
    try:
        for _, problem in held_out_pairs(read_text_pairs(path), path, held_out, progress):
            yield problem
    except UserError as error:
        yield Problem("damaged file", error.place, error.found)


def held_out_pairs(
    pairs: TextPairs, path: Path, held_out: Set[int], progress: Progress | None = None
) -> Iterator[tuple[int, Problem]]:
    """The (index, problem) of each pair whose two texts are held out.

    Args:
        pairs: all of them.
        path: of their file, for the messages.
        held_out: fingerprints of what is.
        progress: as for `problems_of_text_pairs`.

    Raises:
        UserError: the pairs cannot be read to their end.
    """
    if not held_out:
        return
    for index, pair in enumerate(pairs):
        if progress is not None and (index + 1) % _PAIRS_PER_CALL == 0:
            progress(_BAR_NAME, index + 1, len(pairs))
        if fingerprint(*pair) in held_out:
            yield index, Problem("held-out text pair", f"{path}:{index + 1}", f"“{pair[1]}”")
    if progress is not None:
        progress(_BAR_NAME, len(pairs), len(pairs))


def write_pairs_without(left_out: Set[int], pairs: TextPairs, copy: Path) -> None:
    """Writes the pairs but for those of some indices, as Arrow or JSONL by the copy's name.

    Raises:
        UserError: the copy cannot be written.
    """
    kept = (pair for index, pair in enumerate(pairs) if index not in left_out)
    if copy.name == PAIRS_FILE:
        write_text_pairs(copy, kept)
        return
    with whole_file(copy) as file:
        file.writelines(f"{_to_json(pair)}\n" for pair in kept)


def check_pairs_copy(pairs: Path | None, out: Path) -> None:
    """Returns if nothing is lost where a copy of the pairs is written into a folder.

    Raises:
        UserError: there are other text pairs, or the pairs themselves; or some cannot be read.
    """
    there = find_text_pairs(out)
    if pairs is None or there is None:
        return
    if out.resolve() == pairs.parent.resolve():
        found = "these pairs themselves"
    elif there.name == pairs.name and _has_no_others(there, pairs):
        return
    else:
        found = "others"
    raise UserError(
        str(there),
        expected=f"no other text pairs than copies of {pairs}",
        found=found,
        remedy="Move one of the two files away, or give another folder for the copies.",
    )


def _has_no_others(copy: Path, pairs: Path) -> bool:
    """Whether some pairs are all from another file, in the same order."""
    if cmp(pairs, copy, shallow=False):
        return True
    rest = iter(read_text_pairs(pairs))
    return all(pair in rest for pair in read_text_pairs(copy))


def _held_out(splits: Sequence[SplitColumns]) -> set[int]:
    """Fingerprints of the pairs in held-out splits; a translation without a transcript is none."""
    found: set[int] = set()
    for split in splits:
        if held_out_rank(split.name):
            lengths = [np.asarray(split.sides[side].num_chars) for side in SIDES]
            found.update(np.asarray(split.pairs)[np.minimum(*lengths) > 0].tolist())
    return found


def _to_json(pair: Pair) -> str:
    return json.dumps(dict(zip(("source", "target"), pair, strict=True)), ensure_ascii=False)
