"""The columns of tables of one's own, and how a table is told from a manifest."""

from __future__ import annotations

from pathlib import Path

from horizon_st.data.files import decode_line, read_raw_lines
from horizon_st.data.jsonl import parse_json
from horizon_st.errors import UserError

FIELDS = {
    "audio": (
        *("path", "wav", "file", "file_name", "filename"),
        *("audio_path", "audio_file", "audio_filepath"),
    ),
    "target": ("translation", "target_text", "tgt_text", "translated_text"),
    "source": ("transcript", "transcription", "sentence", "source_text", "src_text", "text"),
    "offset": ("start", "offset_s", "start_s", "begin"),
    "duration": ("duration_s",),
    "end": ("end_s",),
    "channel": (),
    "speaker": ("speaker_id", "client_id", "spk"),
    "id": ("utt_id", "utterance_id"),
    "split": ("set", "subset"),
}
"""Field -> other names for it."""

FIELD_OF = {name: field for field, others in FIELDS.items() for name in (field, *others)}
_TABLE_ENDINGS = ("tsv", "csv")
_CUT_KEYS = {"recording", "supervisions", "type"}


def refuse_table(path: Path) -> None:
    """Nothing, where the file may be a manifest.

    Raises:
        UserError: it is a table of one's own, a TSV, a CSV or a JSONL, that `prepare` makes a
            manifest of.
    """
    ending = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    if ending in _TABLE_ENDINGS or _begins_with_a_row(path):
        kind = ending if ending in _TABLE_ENDINGS else "jsonl"
        raise UserError(
            str(path),
            expected="a manifest (lhotse cuts, JSONL)",
            found="a table",
            remedy=f"Make manifests of it with `horizon-st prepare {kind} {path} OUT`.",
        )


def _begins_with_a_row(path: Path) -> bool:
    """Whether the first line names audio as a table does; what cannot be read is no table."""
    try:
        for place, line in read_raw_lines(path):
            if line.strip():
                value = parse_json(decode_line(line, place), place)
                return (
                    isinstance(value, dict)
                    and _CUT_KEYS.isdisjoint(value)
                    and "audio" in {FIELD_OF.get(key.strip().lower()) for key in value}
                )
    except UserError:
        pass
    return False
