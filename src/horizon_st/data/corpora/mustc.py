"""MuST-C in its own layout, and what is shipped in that shape -> utterances.

Di Gangi et al. 2019 (NAACL): TED talks in ``data/SPLIT/wav``, their segments in
``data/SPLIT/txt/SPLIT.yaml``, texts line by line in ``SPLIT.en`` and ``SPLIT.de``. The
low-resource tracks of IWSLT put the folders of splits directly under the root, have no transcripts,
call the development set ``valid``, name recordings without ending, or give ``stamped.tsv`` (path,
start, end) or ``segments`` (path, speaker, start, end) in place of the YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.corpora.segments import (
    read_kaldi_segments,
    read_span_segments,
    read_yaml_segments,
)
from horizon_st.data.corpora.split_folders import SegmentLists, read_split_folders

_LISTS: SegmentLists = {
    "txt/{split}.yaml": read_yaml_segments,
    "txt/segments": read_kaldi_segments,
    "stamped.tsv": read_span_segments,
}


def read_mustc(
    root: Path, *, source_language: str, target_language: str
) -> dict[str, Iterator[Utterance]]:
    """The utterances of all splits; ids are ``RECORDING_NUMBER``, in the order of the list.

    Args:
        root: the corpus, ``en-de`` in it, or the folder that holds the splits.
        source_language: the ending of the transcripts, ``en`` in MuST-C.
        target_language: the ending of the translations, such as ``de``. A test split may lack them.

    Raises:
        UserError: the layout is another, a file is damaged, or line counts differ.
    """
    return read_split_folders(
        root, _LISTS, source_language=source_language, target_language=target_language
    )
