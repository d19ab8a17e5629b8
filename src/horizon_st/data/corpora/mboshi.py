"""The Mboshi-French corpus in its own layout -> utterances.

Godard et al. 2018 (LREC, arXiv 1710.03501): field recordings of Mboshi (Bantu C25), transcribed and
translated into French. One utterance per NAME: ``{train,dev}/NAME.wav`` beside ``NAME.mb`` and
``NAME.fr``, and ``.cleaned`` texts in lower case, tokenised, with entities such as ``&apos;``.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from horizon_st.data.corpora.aligned import AUDIO_ENDINGS
from horizon_st.data.corpora.cutting import Utterance
from horizon_st.data.files import is_file, read_lines, require_folder
from horizon_st.errors import UserError

SPLITS = ("train", "dev")
_LAYOUT = "full_corpus_newsplit"


def read_mboshi(
    root: Path, *, text: Literal["raw", "cleaned"] = "raw"
) -> dict[str, Iterator[Utterance]]:
    """The utterances of both splits; the audio may have another ending, and ``.mb`` be missing.

    Where ``.fr`` is missing, the translation is empty, so that it is counted.

    Args:
        root: the corpus, or its folder ``full_corpus_newsplit``.
        text: as written, with case and punctuation; or ``cleaned``, in lower case and with spaces
            around every word and mark, as published scores take it. Entities are undone.

    Raises:
        UserError: the folders are not there, or a text is not UTF-8 or has more than one line.
    """
    if (root / _LAYOUT).is_dir():
        root = root / _LAYOUT
    ending = ".cleaned" if text == "cleaned" else ""
    return {split: _read_split(require_folder(root / split), ending) for split in SPLITS}


def _read_split(folder: Path, ending: str) -> Iterator[Utterance]:
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    audio = {path.stem: path for path in files if path.suffix.lower() in AUDIO_ENDINGS}
    names = sorted({*audio, *(path.stem for path in files if path.suffix == ".fr")})
    if not names:
        raise UserError(
            str(folder),
            expected="recordings, each with a NAME.mb and a NAME.fr beside it",
            found="none",
            remedy="Give the folder that holds train and dev.",
        )
    for name in names:
        transcript, translation = (folder / f"{name}.{code}{ending}" for code in ("mb", "fr"))
        yield Utterance(
            id=name,
            audio=audio.get(name, folder / f"{name}.wav"),
            transcript=_read_sentence(transcript) or None,
            translation=_read_sentence(translation),
            speaker=name.partition("_")[0],
            place=f"{translation}:1",
        )


def _read_sentence(path: Path) -> str:
    """The sentence of a file, empty where there is no file."""
    if not is_file(path):
        return ""
    sentences = [line.strip() for _, line in read_lines(path) if line.strip()]
    if len(sentences) > 1:
        raise UserError(
            f"{path}:2",
            expected="one sentence, that of the recording of the same name",
            found=f"{len(sentences)} lines",
            remedy="Leave only the line that belongs to the recording.",
        )
    return html.unescape(" ".join(sentences)).strip()
