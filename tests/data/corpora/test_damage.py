"""Hundreds of damaged corpora: none ends in a traceback, and no damage passes for good data.

A seeded mutator damages one file of a corpus in a published layout. The corpus is then prepared and
validated with its sound decoded. Whatever comes out, an utterance must not silently have got other
texts, times or sound. Manifests are damaged as well, and read by validate, its repair and training;
and so are text pairs without speech.
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

from horizon_st.data.corpora.bitext import prepare_bitext, read_aligned, read_bitext
from horizon_st.data.corpora.utterances import LEFT_OUT_FILE, write_corpus
from horizon_st.data.manifest import read_manifest
from horizon_st.data.text_pairs import TextPairs
from horizon_st.data.validation import check_before_training, repair, validate
from horizon_st.errors import UserError

NUM_SEEDS = 3
AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
NUMBER = re.compile(rb"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
NONSENSE = (b"nan", b"-3", b"1e9", b"99999999", b"abc", b"", b"1,5", b"inf", b"1e400")
OWN_ID = re.compile(rb'^(?:{"id": ")?[^"\t]+')
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


def double_id(data, chance):
    """Of a manifest, or of a table whose first four rows are of one split, with ids in front."""
    lines = data.splitlines(keepends=True)
    rows = [number for number, line in enumerate(lines) if not line.endswith(b"gender\r\n")]
    first, second = sorted(chance.sample(rows[:4], 2))
    own = OWN_ID.match(lines[second])
    lines[second] = OWN_ID.match(lines[first])[0] + lines[second][own.end() :]
    return b"".join(lines)


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


def tab_too_many(data, chance):
    place = chance.randrange(len(data) - 1)
    return data[:place] + b"\t" + data[place:]


OF_AUDIO = (truncate, not_a_number, zip_bomb, empty, random_bytes, missing)
"""Damage to sound that must be reported."""
OF_TEXT = (invalid_utf8, carriage_returns, huge_field, drop_line, double_line, wrong_number)
OF_TEXT += (drop_column, missing, empty)
"""Damage to the corpus's own files: reported, or no utterance changes by it."""
KEEPS_ROWS = (invalid_utf8, carriage_returns, huge_field, wrong_number, empty)
"""After these, a row has the id that it had; in place of a missing list another one may serve."""
ANY = (flip_bits, random_bytes, truncate)
"""Damage that can give other valid data: it may change utterances, but loses none silently."""


def damage_one(pristine, root, mutation, of_audio, seed):
    """Makes a copy with one file damaged, and says what was done."""
    chance = random.Random(seed)
    shutil.copytree(pristine, root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    chosen = chance.choice([path for path in files if (path.suffix in AUDIO) == of_audio])
    data = mutation(chosen.read_bytes(), chance)
    chosen.unlink()
    if data is not None:
        chosen.write_bytes(data)
    return f"{mutation.__name__} of {chosen.relative_to(root)}, seed {seed}"


def damaging(pristine, outcome, folder):
    """The outcome of a pristine corpus, and a function: (mutation, of_audio, seed) -> what it
    did and the outcome, of whose reports only kinds count that the pristine corpus lacks.

    Args:
        outcome: function: (corpus, folder to write to) -> (reports, *what was read).
    """
    before = outcome(pristine, folder / "before")
    known = {report["kind"] for report in before[0]}

    def damage(mutation, of_audio, seed):
        root = folder / "damaged"
        what = damage_one(pristine, root, mutation, of_audio, seed)
        reports, *after = outcome(root, folder / "after")
        shutil.rmtree(root)
        shutil.rmtree(folder / "after", ignore_errors=True)
        return what, [report for report in reports if report["kind"] not in known], *after

    return before, damage


@pytest.fixture
def damaged(layout, tmp_path):
    """Of a corpus, as `damaging` has it."""
    pristine = tmp_path / "pristine"
    layout.build(pristine)
    return damaging(pristine, lambda root, out: outcome(layout, root, out), tmp_path)


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
            utterances[manifest.stem, cut["id"]] = content(cut)
    return reports, utterances


def content(cut):
    """Times and texts."""
    supervision = cut["supervisions"][0]
    texts = supervision.get("text"), supervision["custom"].get("translated_text")
    return (round(cut["start"], 3), round(cut["duration"], 3)), *texts


def is_untouched(before, after, mutation):
    """Whether nothing has got other times or texts; but a transcript may have been lost.

    A lost line of optional transcripts leaves utterances without one, as the table then shows.
    """
    if mutation in KEEPS_ROWS:
        then = {key: {value, (value[0], None, value[2])} for key, value in before.items()}
        return all(value in then.get(key, ()) for key, value in after.items())
    # Ids that count the rows of a recording move.
    values = {*before.values()} | {(times, None, target) for times, _, target in before.values()}
    return {*after.values()} <= values


def splits_of(utterances):
    return {split for split, _ in utterances}


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
def test_damaged_files_are_reported_or_change_nothing(damaged, layout, mutation):
    (_, before), damage = damaged
    for seed in range(NUM_SEEDS):
        what, reports, after = damage(mutation, False, seed)
        assert reports or is_untouched(before, after, mutation), what
        if not (layout.names_splits_once and mutation in (missing, drop_column)):
            assert reports or splits_of(after) == splits_of(before), f"{what}: lost without a word"
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


@pytest.mark.parametrize("layout", ["tsv"], indirect=True)
def test_an_id_that_comes_twice_is_reported(damaged):
    (_, before), damage = damaged
    for seed in range(NUM_SEEDS):
        what, reports, after = damage(double_id, False, seed)
        assert [report["kind"] for report in reports] == ["duplicate id"], what
        assert after.items() <= before.items(), what


@pytest.mark.parametrize("layout", ["tsv"], indirect=True)
def test_a_tab_too_many_in_a_table_is_reported(damaged):
    _, damage = damaged
    for seed in range(NUM_SEEDS):
        what, reports, _ = damage(tab_too_many, False, seed)
        assert reports, what


@pytest.fixture
def damaged_manifests(tmp_path, corpus):
    """Of manifests with their audio, likewise: what training takes, and the repaired copy."""
    root, read = corpus("tsv")
    write_corpus(root, read())
    (root / "table.tsv").unlink()
    for path in root.glob("*.jsonl"):
        path.write_text(path.read_text().replace(f"{root}/", ""))  # audio of the copy, not of this
    return damaging(root, outcome_of_manifests, tmp_path)


def outcome_of_manifests(root, out):
    """What is reported of manifests, what training reads of them, and what of a repaired copy."""
    trained = read_as_training(root)
    try:
        validate([root], out=out / "report")
        repair([root], out / "mended")
    except UserError as error:
        return [{"kind": "error", "message": str(error)}], trained, {}
    return read_rows(out / "report" / "problems.jsonl"), trained, read_as_training(out / "mended")


def read_as_training(folder):
    """Times and texts by utterance of the manifests that training takes."""
    found = {}
    for path in sorted({*folder.glob("*.jsonl")} - {folder / "dropped.jsonl"}):
        try:
            check_before_training(path)
            found |= {(path.stem, cut.id): content(cut.to_dict()) for cut in read_manifest(path)}
        except UserError:
            continue
    return found


def test_pristine_manifests_are_read_alike(damaged_manifests):
    (reports, trained, mended), _ = damaged_manifests
    assert all(report["severity"] == "warning" for report in reports)
    assert trained == mended
    assert len(trained) == 6


@pytest.mark.parametrize("mutation", OF_AUDIO)
def test_damaged_sound_of_a_manifest_is_reported_and_left_out(damaged_manifests, mutation):
    (_, before, _), damage = damaged_manifests
    for seed in range(NUM_SEEDS):
        what, reports, _, mended = damage(mutation, True, seed)
        assert reports, what
        assert {key[1] for key in mended} < {key[1] for key in before} or mutation is truncate, what


@pytest.mark.parametrize("mutation", [*OF_TEXT, double_id])
def test_damaged_manifests_are_reported_or_change_nothing(damaged_manifests, mutation):
    (_, before, _), damage = damaged_manifests
    for seed in range(NUM_SEEDS):
        what, reports, trained, mended = damage(mutation, False, seed)
        assert reports or is_untouched(before, trained, mutation), what
        assert trained.items() <= before.items(), what
        assert mended.items() <= before.items(), what
        if mutation is double_id:
            assert {report["kind"] for report in reports} == {"duplicate id"}, what


@pytest.mark.parametrize("mutation", ANY)
@pytest.mark.parametrize("of_audio", [True, False])
def test_no_damage_to_manifests_ends_in_a_traceback(damaged_manifests, mutation, of_audio):
    (_, before, _), damage = damaged_manifests
    for seed in range(100, 100 + NUM_SEEDS):
        what, reports, trained, _ = damage(mutation, of_audio, seed)
        assert reports or len(trained) == len(before), f"{what}: lost without a word"


def write_aligned(root, pairs):
    for name, side in (("a.en", 0), ("a.de", 1)):
        lines = [pair[side] for pair in pairs]
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_table(root, pairs):
    lines = ["id\tscore\ten\tde", *(f"u{n}\t0.5\t{en}\t{de}" for n, (en, de) in enumerate(pairs))]
    (root / "a.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_numbered(root, pairs):
    write_table(root, pairs)
    lines = (root / "a.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (root / "a.tsv").write_text("".join(lines[1:]), encoding="utf-8")


def write_objects(root, pairs):
    lines = [json.dumps({"score": 0.5, "en": en, "de": de}) for en, de in pairs]
    (root / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


OF_PAIRS = {
    "aligned": (write_aligned, lambda root: read_aligned(root / "a.en", root / "a.de")),
    "table": (write_table, lambda root: read_bitext(f"{root}/a.tsv", source="en", target="de")),
    "numbered": (write_numbered, lambda root: read_bitext(f"{root}/a.tsv", source="3", target="4")),
    "jsonl": (write_objects, lambda root: read_bitext(f"{root}/a.jsonl", source="en", target="de")),
}


@pytest.fixture(params=[*OF_PAIRS])
def damaged_pairs(tmp_path, pairs, request):
    """Of text pairs in files of each form, likewise; and the form."""
    root = tmp_path / "pristine"
    root.mkdir()
    build, read = OF_PAIRS[request.param]
    build(root, pairs)
    before, damage = damaging(root, lambda root, out: outcome_of_pairs(read(root), out), tmp_path)
    return before, damage, request.param


def outcome_of_pairs(rows, out):
    """What is reported of text pairs, and the pairs themselves."""
    try:
        prepared = prepare_bitext(rows, out)
    except UserError as error:
        return [{"kind": "error", "message": str(error)}], []
    return [{"kind": reason} for reason in prepared.left_out], [*TextPairs(prepared.path)]


def test_pristine_pairs_are_read_alike(damaged_pairs, pairs):
    (reports, found), *_ = damaged_pairs
    assert not reports
    assert found == pairs


@pytest.mark.parametrize("mutation", OF_TEXT)
def test_damaged_text_pairs_are_reported_or_stay(damaged_pairs, mutation):
    (_, before), damage, form = damaged_pairs
    if form == "numbered" and mutation is drop_column:
        pytest.skip("columns without names")
    for seed in range(NUM_SEEDS):
        what, reports, after = damage(mutation, False, seed)
        if form == "aligned" or mutation not in (drop_line, double_line):  # one file has no other
            assert reports or after == before, what
        assert {*after} <= {*before}, what


def test_a_tab_too_many_is_reported(damaged_pairs):
    (_, before), damage, form = damaged_pairs
    if form == "aligned":
        pytest.skip("a tab is a blank in a line of text")
    for seed in range(4 * NUM_SEEDS):
        what, reports, after = damage(tab_too_many, False, seed)
        assert reports or (form == "jsonl" and after == before), what
        # Without a header, the first row tells how many values there are.
        assert {*after} <= {*before} or (form == "numbered" and len(after) == 1), what


@pytest.mark.parametrize("mutation", ANY)
def test_no_damage_to_text_pairs_ends_in_a_traceback(damaged_pairs, mutation):
    (_, before), damage, form = damaged_pairs
    for seed in range(100, 100 + NUM_SEEDS):
        what, reports, after = damage(mutation, False, seed)
        if mutation is truncate and form != "aligned":  # the end of a table may be anywhere
            assert reports or after[:-1] == before[: len(after) - 1], what
        else:
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
