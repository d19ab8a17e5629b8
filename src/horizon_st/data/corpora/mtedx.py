"""Multilingual TEDx in its own layout -> utterances.

Salesky et al. 2021 (Interspeech, arXiv 2102.01757): TEDx talks as FLAC in
``es-en/data/SPLIT/wav``; ``SPLIT.es`` and ``SPLIT.en`` in ``txt``, line by line, with the segments
as ``segments`` of Kaldi and as ``SPLIT.yaml``, which says ``.wav`` where the disk has ``.flac``.
The splits are ``train``, ``valid``, ``test`` and ``iwslt2021``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.segments import read_kaldi_segments, read_yaml_segments
from horizon_st.data.corpora.split_folders import SegmentLists, read_split_folders

_LISTS: SegmentLists = {
    "txt/segments": read_kaldi_segments,  # it has the published ids
    "txt/{split}.yaml": read_yaml_segments,
}


def read_mtedx(
    root: Path, *, source_language: str, target_language: str
) -> dict[str, Iterator[Utterance]]:
    """The utterances of all splits, with the ids of ``segments`` where it is there.

    Args:
        root: the folder that the pairs were unpacked into, or ``es-en`` in it.
        source_language: of the talks, such as ``es``.
        target_language: of the translations, such as ``en``.

    Raises:
        UserError: the layout is another, a file is damaged, or line counts differ.
    """
    return read_split_folders(
        root, _LISTS, source_language=source_language, target_language=target_language
    )
