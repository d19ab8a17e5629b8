"""A lhotse JSONL manifest -> cuts whose audio paths resolve and whose texts are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from horizon_st.data.audio import Cut
from horizon_st.data.blocks import has_at_most, sample_lines, shuffled_blocks
from horizon_st.data.corpora.fields import refuse_table
from horizon_st.data.cut_checks import TRANSLATION_KEY, find_faults, to_cut
from horizon_st.data.cuts import SURVEY_UTTERANCES, Cuts
from horizon_st.data.files import read_lines
from horizon_st.data.jsonl import parse_json
from horizon_st.errors import UserError

_MOST_KNOWN_IDS = 100_000
"""Ids kept to find one that comes twice; memory must not grow with the corpus."""


class ManifestCuts(Cuts):
    """The checked cuts of a manifest, read line by line each time it is iterated.

    Args:
        path: of the manifest.
        needs_translation: whether a cut without one is refused.
    """

    def __init__(self, path: Path, *, needs_translation: bool = True) -> None:
        self.path = path
        self._needs_translation = needs_translation

    def __iter__(self) -> Iterator[Cut]:
        return self._checked(read_lines(self.path))

    def texts(self) -> Iterator[Cut]:
        """All cuts, as when iterated."""
        return iter(self)

    def has_at_most(self, num_cuts: int) -> bool:
        """Whether there are no more; blank lines count as well."""
        return has_at_most(self.path, num_cuts)

    def sample(self, num_cuts: int) -> Iterator[Cut]:
        """So many cuts at most, spread over the file; the first ones of a compressed one."""
        return self._checked(sample_lines(self.path, num_cuts))

    def of_epoch(self, seed: int, epoch: int) -> Iterator[Cut]:
        """All cuts: blocks of lines in random order, where shuffling needs it and the file can."""
        if self.has_at_most(SURVEY_UTTERANCES):
            return iter(self)
        rng = np.random.default_rng((seed, epoch))
        return self._checked(shuffled_blocks(self.path, rng))

    def _checked(self, lines: Iterable[tuple[str, str]]) -> Iterator[Cut]:
        seen: set[str] = set()
        for place, line in lines:
            if not line.strip():
                continue
            cut = to_cut(parse_json(line, place), place)
            if cut.id in seen:
                raise UserError(
                    place,
                    expected="an id of its own for every utterance",
                    found=f"{cut.id!r} twice",
                    remedy="Rename or remove one of them.",
                )
            if len(seen) < _MOST_KNOWN_IDS:
                seen.add(cut.id)
            for fault in find_faults(cut, self.path.parent, place):
                is_unscored = fault.kind == "no translation" and reference_of(cut) is None
                if self._needs_translation or not is_unscored:
                    raise fault.error
            yield cut
        if not seen:
            raise UserError(
                str(self.path),
                expected="at least one utterance",
                found="none",
                remedy="Make the manifest anew, one lhotse cut per line.",
            )


def read_manifest(path: Path, *, needs_translation: bool = True) -> ManifestCuts:
    """The cuts of a manifest, lazily, with recording paths relative to its folder resolved.

    Each cut has one supervision: ``text`` is the transcript (None where there is none), and
    ``custom["translated_text"]`` the translation. A name that ends in ``.gz`` or ``.zst`` is
    decompressed, and cannot be sampled or shuffled beyond what a sampler holds.

    Args:
        path: of the manifest.
        needs_translation: whether a cut without one is refused, as training and scoring have to.

    Raises:
        UserError: the file is missing or a table of one's own, or, while reading: there are no
            utterances, two have the same id (of so many that memory does not grow), a line is not a
            cut, has no translation, or names audio that is not there.
    """
    if path.is_dir():
        raise UserError(
            str(path),
            expected="a manifest (lhotse cuts, JSONL)",
            found="a folder",
            remedy="Name the file in it, such as train.jsonl; of shards, the manifest that they "
            "were packed from.",
        )
    if not path.is_file():
        raise UserError(
            str(path),
            expected="a manifest (lhotse cuts, JSONL)",
            found="no such file",
            remedy="Check the path; `horizon-st prepare telephone DIR` writes the embedded corpus.",
        )
    refuse_table(path)
    return ManifestCuts(path, needs_translation=needs_translation)


def translation_of(cut: Cut) -> str:
    """The target sentence of a cut."""
    text: str = cut.supervisions[0].custom[TRANSLATION_KEY]
    return text


def reference_of(cut: Cut) -> str | None:
    """The target sentence of a cut, or None where a test set has none."""
    text: str | None = (cut.supervisions[0].custom or {}).get(TRANSLATION_KEY)
    return text


def transcript_of(cut: Cut) -> str | None:
    """The source sentence of a cut, or None."""
    text: str | None = cut.supervisions[0].text
    return text
