"""Hundreds of damaged corpora: none ends in a traceback, and no damage passes for good data.

A seeded mutator damages one file of a corpus in a published layout. The corpus is then prepared and
validated with its sound decoded. Whatever comes out, an utterance must not silently have got other
texts, times or sound.
"""

import gzip
import io
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from horizon_st.data.corpora.utterances import LEFT_OUT_FILE, write_corpus
from horizon_st.data.validation import validate
from horizon_st.errors import UserError

NUM_SEEDS = 4
AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
NUMBER = re.compile(rb"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
NONSENSE = (b"nan", b"-3", b"1e9", b"99999999", b"abc", b"", b"1,5", b"inf", b"1e400")
MOST_MEMORY_GROWTH = 100e6
ZEROS = bytes(1 << 24)
NUM_BLOCKS = 16
CUT = """{"id": "a", "start": 0, "duration": 1, "channel": 0, "type": "MonoCut", "supervisions":
[{"id": "a", "recording_id": "a", "start": 0, "duration": 1, "custom": {"translated_text": "b"}}],
"recording": {"id": "a", "sampling_rate": 16000, "num_samples": 16000, "duration": 1,
"sources": [{"type": "file", "channels": [0], "source": "x.wav"}]}}""".replace("\n", " ")


def truncate(data, chance):
    return data[: chance.randrange(len(data) // 5, 7 * len(data) // 10)]


def flip_bits(data, chance):
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 20)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def not_a_number(data, chance):
    samples = np.zeros(8000, np.float32)
    samples[chance.randrange(8000)] = chance.choice([np.nan, np.inf, -np.inf])
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def zip_bomb(data, chance):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("speech.wav", bytes(50_000_000))
    return file.getvalue()


def empty(data, chance):
    return b""


def random_bytes(data, chance):
    return chance.randbytes(chance.randint(1, 5000))


def missing(data, chance):
    return None


def invalid_utf8(data, chance):
    place = chance.randrange(len(data))
    return data[:place] + chance.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80"]) + data[place:]


def carriage_returns(data, chance):
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def huge_field(data, chance):
    place = chance.randrange(len(data))
    return data[:place] + b"x" * 2_000_000 + data[place:]


def drop_line(data, chance):
    lines = data.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def double_line(data, chance):
    lines = data.splitlines(keepends=True)
    place = chance.randrange(len(lines))
    return b"".join(
        [*lines[: place + 1], b"" if lines[place].endswith(b"\n") else b"\n", *lines[place:]]
    )


def wrong_number(data, chance):
    numbers = [*NUMBER.finditer(data)]
    if not numbers:
        return data
    chosen = chance.choice(numbers)
    return data[: chosen.start()] + chance.choice(NONSENSE) + data[chosen.end() :]


def drop_column(data, chance):
    lines = data.splitlines(keepends=True)
    columns = lines[0].rstrip(b"\r\n").split(b"\t")
    if len(columns) == 1:
        return data
    gone = chance.randrange(len(columns))
    return b"".join(
        b"\t".join(cell for number, cell in enumerate(line.split(b"\t")) if number != gone)
        for line in lines
    )


OF_AUDIO = (truncate, not_a_number, zip_bomb, empty, random_bytes, missing)
"""Damage to sound that must be reported."""
OF_TEXT = (invalid_utf8, carriage_returns, huge_field, drop_line, double_line, wrong_number)
OF_TEXT += (drop_column, missing, empty)
"""Damage to the corpus's own files: reported, or no utterance changes by it."""
ANY = (flip_bits, random_bytes, truncate)
"""Damage that can give other valid data: it may change utterances, but loses none silently."""


@pytest.fixture
def damaged(layout, tmp_path):
    """The outcome of a pristine corpus, and a function: (mutation, of_audio, seed) -> what it
    did and the outcome, of whose reports only kinds count that the pristine corpus lacks.
    """
    pristine = tmp_path / "pristine"
    layout.build(pristine)
    before = outcome(layout, pristine, tmp_path / "before")
    known = {report["kind"] for report in before[0]}

    def damage(mutation, of_audio, seed):
        chance = random.Random(seed)
        root = tmp_path / "damaged"
        shutil.copytree(pristine, root)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        chosen = chance.choice([path for path in files if (path.suffix in AUDIO) == of_audio])
        data = mutation(chosen.read_bytes(), chance)
        chosen.unlink()
        if data is not None:
            chosen.write_bytes(data)
        reports, after = outcome(layout, root, tmp_path / "after")
        shutil.rmtree(root)
        shutil.rmtree(tmp_path / "after", ignore_errors=True)
        what = f"{mutation.__name__} of {chosen.relative_to(root)}, seed {seed}"
        return what, [report for report in reports if report["kind"] not in known], after

    return before, damage


def outcome(layout, root, out):
    """What is reported of a prepared and checked corpus, and (times, texts) by utterance."""
    try:
        write_corpus(out, layout.read(root))
        validate([out], out=out / "report")
    except UserError as error:
        return [{"kind": "error", "message": str(error)}], {}
    reports = [
        {"kind": row["reason"], **row} for row in read_rows(out / LEFT_OUT_FILE)
    ] + read_rows(out / "report" / "problems.jsonl")
    utterances = {}
    for manifest in out.glob("*.jsonl"):
        for cut in read_rows(manifest) if manifest.name != LEFT_OUT_FILE else []:
            supervision = cut["supervisions"][0]
            texts = supervision.get("text"), supervision["custom"].get("translated_text")
            times = round(cut["start"], 3), round(cut["duration"], 3)
            utterances[manifest.stem, cut["id"]] = times, *texts
    return reports, utterances


def read_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_pristine_corpora_have_no_errors(damaged):
    (reports, utterances), _ = damaged
    assert all(report["severity"] == "warning" for report in reports)
    assert len(utterances) >= 4


@pytest.mark.parametrize("mutation", OF_AUDIO)
def test_damaged_sound_is_reported(damaged, mutation):
    _, damage = damaged
    for seed in range(NUM_SEEDS):
        what, reports, _ = damage(mutation, True, seed)
        assert reports, what


@pytest.mark.parametrize("mutation", OF_TEXT)
def test_damaged_files_are_reported_or_change_nothing(damaged, mutation):
    (_, before), damage = damaged
    # A lost line of optional transcripts leaves utterances without one, as the table then shows.
    legitimate = {*before.values()} | {
        (times, None, target) for times, _, target in before.values()
    }
    for seed in range(NUM_SEEDS):
        what, reports, after = damage(mutation, False, seed)
        assert reports or {*after.values()} <= legitimate, what
        if mutation is carriage_returns:
            assert not reports, what
            assert after == before, what


@pytest.mark.parametrize("mutation", ANY)
@pytest.mark.parametrize("of_audio", [True, False])
def test_no_damage_ends_in_a_traceback(damaged, mutation, of_audio):
    (_, before), damage = damaged
    for seed in range(100, 100 + NUM_SEEDS):
        what, reports, after = damage(mutation, of_audio, seed)
        assert reports or len(after) == len(before), f"{what}: lost without a word"


READ_ALL = """
import resource, sys
from pathlib import Path
from horizon_st.data.corpora.bitext import prepare_bitext, read_aligned
from horizon_st.data.validation import validate
from horizon_st.errors import UserError

root = Path(sys.argv[1])
print(validate([root], out=root / "out", progress=lambda *_: None).num_errors)
try:
    print(prepare_bitext(read_aligned(root / "a.gz", root / "b.gz"), root / "out").num_pairs)
except UserError as error:
    print(error)
status = Path("/proc/self/status")  # elsewhere, the peak may be the parent's
if status.is_file():
    print(next(line.split()[1] for line in status.open() if line.startswith("VmHWM")))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peaks_of_reading(*roots):
    """What processes of their own print that read a corpus each, and their peak memory in bytes.

    Args:
        roots: folders of manifests, and of text pairs in two files.
    """
    commands = [[sys.executable, "-c", READ_ALL, str(root)] for root in roots]
    readers = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for line in commands]
    for reader in readers:
        *shown, peak = reader.communicate()[0].splitlines()
        yield shown, 1024 * int(peak)


def test_memory_stays_bounded(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    gzipped, zstd = gzip.compress(ZEROS, 1), pa.compress(ZEROS, "zstd", asbytes=True)
    for root, num_blocks in ((small, 0), (large, NUM_BLOCKS)):
        root.mkdir()
        for name in ("train.jsonl.gz", "a.gz"):
            (root / name).write_bytes(gzip.compress(b"{\n") + gzipped * num_blocks)
        (root / "b.gz").write_bytes(gzip.compress(b"{\n"))
        start = pa.compress(b"{\n", "zstd", asbytes=True)
        (root / "dev.jsonl.zst").write_bytes(start + zstd * num_blocks)
        with (
            zipfile.ZipFile(root / "x.wav", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("speech.wav", "w", force_zip64=True) as file,
        ):
            for _ in range(num_blocks):
                file.write(ZEROS)
        (root / "test.jsonl").write_text(CUT, encoding="utf-8")
    (found, least), (found_large, most) = peaks_of_reading(small, large)
    assert found == ["6", "1"]
    assert found_large[0] == "8"
    assert "a.gz:2: expected a line of at most" in found_large[1]
    assert most - least < MOST_MEMORY_GROWTH
