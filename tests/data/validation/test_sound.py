"""What samples and files sound like, decoded here or in other processes."""

import os

import numpy as np
import pytest
import soundfile

from horizon_st.data.validation.rows import Row, read_rows
from horizon_st.data.validation.sound import judge, with_sound

TIME_S = np.arange(16_000) / 16_000
TONE = (0.3 * np.sin(2 * np.pi * 200 * TIME_S)).astype(np.float32)


def kinds(samples):
    return dict(judge(np.asarray(samples, np.float32)))


def test_a_tone_is_fine():
    assert kinds(TONE) == {}


def test_silence_is_measured():
    assert kinds(np.zeros(1000)) == {"silence": "level -inf dBFS"}
    quiet = np.float32(1e-4) * np.sign(TONE)  # RMS 1e-4 of full scale is -80 dB
    assert kinds(quiet) == {"silence": "level -80.0 dBFS"}
    assert kinds(100 * quiet) == {}


def test_a_constant_offset_is_measured_and_may_be_all_there_is():
    assert kinds(TONE + 0.2) == {
        "constant offset": "mean +0.200 of full scale, level -13.5 dBFS"  # 20·log10(0.3/√2)
    }
    assert list(kinds(np.full(1000, -0.5))) == ["constant offset", "silence"]


def test_clipping_is_measured():
    loud = np.clip(4 * TONE, -1, 1)
    share = sum(abs(float(sample)) > 0.99 for sample in loud) / len(loud)
    [(kind, found)] = kinds(loud).items()
    assert kind == "clipping"
    assert float(found.split(" %")[0]) == pytest.approx(100 * share, abs=0.01)
    one = TONE.copy()
    one[:10] = 1.0
    assert kinds(one) == {}


def truncated_wav(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def wav_with_nan(path):
    samples = TONE.copy()
    samples[5] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


DAMAGES = {
    "truncated audio": truncated_wav,
    "non-finite samples": wav_with_nan,
    "unreadable audio": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(5000)),
    "clipping": lambda path: soundfile.write(path, np.sign(TONE), 16_000),
    "silence": lambda path: soundfile.write(path, 0 * TONE, 16_000),
    "constant offset": lambda path: soundfile.write(path, 0 * TONE + 0.4, 16_000),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_sound_is_found(corpus, kind):
    DAMAGES[kind](corpus / "train0.wav")
    first, *others = with_sound(read_rows(corpus / "train.jsonl"), num_workers=0)
    assert first.problems[0].kind == kind
    assert first.problems[0].place == f"{corpus / 'train.jsonl'}:1"
    assert not any(row.problems for row in others)


def test_a_file_shorter_than_the_manifest_says_is_truncated(corpus):
    soundfile.write(corpus / "train0.wav", TONE[:8000], 16_000)
    first = next(with_sound(read_rows(corpus / "train.jsonl"), num_workers=0))
    assert [problem.kind for problem in first.problems] == ["truncated audio"]
    assert "0.50 s" in first.problems[0].found


def test_other_processes_find_the_same_in_the_same_order(corpus):
    for number, kind in enumerate(("silence", "unreadable audio", "clipping")):
        DAMAGES[kind](corpus / f"train{number}.wav")
    here = list(with_sound(read_rows(corpus / "train.jsonl"), num_workers=0))
    there = list(with_sound(read_rows(corpus / "train.jsonl"), num_workers=1))
    assert [row.problems for row in here] == [row.problems for row in there]
    assert sum(len(row.problems) for row in here) == 3


class _Crash:
    """Ends the process that unpickles it, as a decoder with a fault would."""

    id = "crash"

    def __reduce__(self):
        return os._exit, (1,)


def test_a_crash_of_the_decoder_is_the_fault_of_one_row(corpus):
    rows = list(read_rows(corpus / "train.jsonl"))
    rows.insert(2, Row("x.jsonl:3", b"", _Crash()))
    heard = list(with_sound(rows, num_workers=1))
    assert [len(row.problems) for row in heard] == [0, 0, 1, 0, 0]
    assert heard[2].problems[0].kind == "unreadable audio"
    assert heard[2].problems[0].found == "the decoder crashed"
