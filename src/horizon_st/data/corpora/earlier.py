"""Manifests of an earlier preparation, against what is now written beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from horizon_st.data.jsonl import read_json_lines
from horizon_st.data.validation.manifests import held_out_rank
from horizon_st.data.validation.spans import Spans, make_span
from horizon_st.errors import UserError


class EarlierManifests:
    """The sound in manifests that stay, so that none is trained on and held out at once.

    Args:
        folder: of the manifests.
        names: of files that are written anew.
    """

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._stay = [path for path in sorted(folder.glob("*.jsonl")) if path.name not in names]
        self._spans: dict[Path, Spans] = {}

    def concern(self, split: str) -> bool:
        """Whether a manifest that stays is on the other side of training from a split."""
        return any(self._beside(split))

    def refuse_shared(self, split: str, spans: Spans) -> None:
        """Nothing, where what is written of a split is nowhere on the other side of training.

        Args:
            split: that is written.
            spans: of its utterances.

        Raises:
            UserError: a manifest that stays has the sound of some of them.
        """
        for path in self._beside(split):
            if path not in self._spans:
                self._spans[path] = _spans_in(path)
            if num_shared := int(spans.shared_with(self._spans[path]).sum()):
                raise UserError(
                    str(path),
                    expected=f"no utterance of {split}, which is written beside it",
                    found=f"{num_shared} of them, from an earlier preparation",
                    remedy="Remove the file, or prepare into another folder.",
                )

    def _beside(self, split: str) -> Iterator[Path]:
        for path in self._stay:
            if (held_out_rank(path.name) == 0) != (held_out_rank(split) == 0):
                yield path


def _spans_in(path: Path) -> Spans:
    """Of all cuts; none of a file that is no manifest of ours."""
    spans = Spans()
    try:
        for _, cut in read_json_lines(path):
            sources = [path.parent / source["source"] for source in cut["recording"]["sources"]]
            spans.add(make_span(sources, cut["channel"], cut["start"], cut["duration"]))
    except (UserError, LookupError, TypeError, ValueError):
        return Spans()
    return spans
