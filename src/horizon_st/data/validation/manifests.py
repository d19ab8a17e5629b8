"""Paths that a user gives -> the manifests there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from horizon_st.data.corpora.fields import refuse_table
from horizon_st.data.files import decode_line, is_compressed, read_raw_lines
from horizon_st.data.jsonl import parse_json
from horizon_st.errors import UserError

PROBLEMS_FILE = "problems.jsonl"
DROPPED_FILE = "dropped.jsonl"

TEST_RANK = 2
"""Of `held_out_rank`: what tests models."""

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_SPLITS = ("train", "dev", "valid", "test", "tst")
_DEV_SPLITS = ("dev", "val")
_OTHER_FILES = {DROPPED_FILE, "left_out.jsonl", PROBLEMS_FILE, "text_pairs.jsonl"}
_CUT_KEYS = {"recording", "supervisions", "type"}
_BLOCK_BYTES = 1 << 20


def find_manifests(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Manifests, what is trained on first within a folder; and its JSONL files that are none.

    Raises:
        UserError: a file is not there, a folder has no manifest, or there are shards, or tables of
            one's own.
    """
    found: dict[Path, Path] = {}
    skipped: list[Path] = []
    for path in paths:
        if _is_shards(path):
            raise UserError(
                str(path),
                expected="a manifest (lhotse cuts, JSONL), or a folder of them",
                found="shards",
                remedy="Validate the manifest before it is packed; reading checks shards.",
            )
        files = [path]
        if path.is_dir():
            inside = [file for file in path.iterdir() if file.name.endswith(_ENDINGS)]
            files = [file for file in inside if _may_be_manifest(file)]
            files.sort(key=lambda file: (held_out_rank(file.name), file.name))
            skipped += sorted(set(inside) - set(files))
        if not files or not path.exists():
            raise UserError(
                str(path),
                expected="a manifest (lhotse cuts, JSONL), or a folder of them",
                found="no *.jsonl in the folder" if path.is_dir() else "no such file",
                remedy="Check the path; `horizon-st prepare` writes manifests of a corpus.",
            )
        for file in files:
            refuse_table(file)
            found[file.resolve()] = file
    return list(found.values()), skipped


def _is_shards(path: Path) -> bool:
    """Whether it is a Shar folder, half a shard, or a list of shards."""
    if path.is_dir():
        return any(path.glob("cuts.*.jsonl*")) and any(path.glob("recording.*.tar*"))
    if path.name.startswith("cuts.") and _is_shards(path.parent):
        return True
    return path.suffix in {".yaml", ".yml", ".tar"}


def _may_be_manifest(path: Path) -> bool:
    """Whether it has the name of a split, or its first line is not of another kind of file."""
    if path.name in _OTHER_FILES:
        return False
    if path.name.startswith(_SPLITS):
        return True
    try:
        for place, line in read_raw_lines(path):
            if line.strip():
                value = parse_json(decode_line(line, place), place)
                return not isinstance(value, dict) or not _CUT_KEYS.isdisjoint(value)
    except UserError:
        return True
    return True


def count_lines(path: Path) -> int:
    """Lines of a file, or 0 if it cannot be read to its end."""
    try:
        if is_compressed(path):
            return sum(1 for _ in read_raw_lines(path))
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b""))
    except (UserError, OSError):
        return 0


def split_name(manifest: Path) -> str:
    """The file's name without its endings."""
    return manifest.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".jsonl")


def held_out_rank(name: str) -> int:
    """0 for what is trained on, 1 for what chooses among models, 2 for what tests them.

    Test sets go by many names (tst-COMMON, eval, iwslt2021), the others by few.
    """
    name = name.lower()
    if name.startswith("train"):
        return 0
    return 1 if name.startswith(_DEV_SPLITS) else TEST_RANK
