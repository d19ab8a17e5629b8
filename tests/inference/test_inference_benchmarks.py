"""What the benchmarks of long and live translation measure is what they say."""

import json
from itertools import combinations_with_replacement

import numpy as np
import pytest
import sacrebleu
import soundfile
from rapidfuzz.distance import Levenshtein

from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.inference.live import LiveText


@pytest.fixture
def manifest(speech, tmp_path):
    """Four utterances of 2 to 3 s of speech at 16 kHz."""
    path = tmp_path / "test.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, duration_s in enumerate((2.0, 2.5, 3.0, 2.2)):
            name, audio = f"u{number}", tmp_path / f"u{number}.wav"
            soundfile.write(audio, speech(duration_s, start_s=10 * number), 16_000)
            part = {"id": name, "start": 0.0, "duration": duration_s, "channel": 0}
            said = {"recording_id": name, "text": "a", "custom": {"translated_text": "uno dos"}}
            recording = {
                "id": name,
                "sources": [{"type": "file", "channels": [0], "source": str(audio)}],
                "sampling_rate": 16_000,
                "num_samples": round(16_000 * duration_s),
                "duration": duration_s,
            }
            cut = part | {"supervisions": [part | said], "recording": recording, "type": "MonoCut"}
            file.write(json.dumps(cut) + "\n")
    return path


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("a b c d e f", ["a b c", "d e f"]),
        ("a x c d f", ["a b c", "d e f"]),
        ("c d e f g", ["a b", "c d e", "f g"]),
        ("a b x y c d", ["a b", "c d"]),
        ("", ["a b", "c"]),
        ("b a b a", ["a", "b a", "b b"]),
    ],
)
def test_the_text_is_cut_with_the_fewest_word_errors(benchmark, text, references):
    found = benchmark("long_recording").realign(text, references)

    def errors(pieces):
        pairs = zip(pieces, references, strict=True)
        return sum(Levenshtein.distance(one.split(), other.split()) for one, other in pairs)

    words = text.split()
    borders = combinations_with_replacement(range(len(words) + 1), len(references) - 1)
    every = [
        [" ".join(words[i:j]) for i, j in zip([0, *ends], [*ends, len(words)], strict=True)]
        for ends in borders
    ]
    assert found in every
    assert errors(found) == min(map(errors, every))


def test_times_are_told_from_the_truth(benchmark):
    module, joined = benchmark("long_recording"), benchmark("joined")
    utterances = [joined.Utterance(name, np.zeros(0), name, (0, 0), "babble") for name in "abcd"]
    truth = ((1, 3), (5, 8), (10, 11), (13, 14))
    placed = [joined.Placed(u, *t) for u, t in zip(utterances, truth, strict=True)]
    # The first stays until just after the next one begins; nothing was found of the third.
    found = ((1.1, 5.2), (5.1, 6), (6, 7.5), (13.1, 14.2))
    offs = module.times_off(placed, [module.Span(*one) for one in found])
    assert [off.start_s for off in offs] == pytest.approx([0.1, 0.1, -np.inf, 0.1])
    assert [off.end_s for off in offs] == pytest.approx([2.2, -0.5, np.inf, 0.2])
    row = module.summary(offs)
    assert row["starts within 0.3 s (%)"] == pytest.approx(100 * 3 / 4)
    assert row["ends within 0.3 s (%)"] == pytest.approx(100 * 1 / 4)
    assert row["starts off by (s)"] == pytest.approx(0.1)
    assert row["largest of those found (s)"] == pytest.approx(2.2)
    assert [*module.exceptions(offs, "subtitle")] == [
        {"utterance": name, "of": "subtitle", "edge": edge, "off_s": off_s, "why": why}
        for name, edge, off_s, why in (
            ("a", "end", 2.2, "stays until it has been read"),
            ("b", "end", -0.5, "voice activity, with a background of babble"),
            ("c", "start", None, "nothing was found"),
            ("c", "end", None, "nothing was found"),
        )
    ]
    joined = module.times_off(placed[:2], [module.Span(1, 8)])
    assert {one["why"] for one in module.exceptions(joined, "segment")} == {
        "joined with another utterance"
    }


def test_the_edges_of_speech_are_found(benchmark):
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1e-3, 32_000)
    samples[8_000:20_000] += rng.normal(0, 0.1, 12_000)
    begin, end = benchmark("joined").speech_edges(samples.astype(np.float32))
    assert (begin, end) == (pytest.approx(8_000, abs=320), pytest.approx(20_000, abs=320))


def test_several_recordings_are_scored_together_and_each_alone(benchmark):
    module = benchmark("long_recording")
    names = (module.OWN_FILE, *map(module.by_hand, (0.0, 0.2)), module.SRT)
    right, wrong = "a b c d e f", "a b x y e f"
    off = module.Off(module.Utterance("u", np.zeros(0), right, (0, 0)), 0.1, 0.4, joined=False)

    def recording(*texts):
        texts = {name: [text] for name, text in zip(names, texts, strict=True)}
        return module.Measured([right], texts, 2, 3, [off], [off])

    # Of the first the SRT is as good as its own file, of the second it is not.
    measured = [recording(right, wrong, wrong, right), recording(right, wrong, right, wrong)]
    rows = {row["of"]: row for row in module.rows_of_all(measured)}
    assert rows[module.OWN_FILE]["BLEU"] == pytest.approx(100)
    assert rows[module.SRT]["BLEU"] == pytest.approx(
        sacrebleu.corpus_bleu([right, wrong], [[right, right]]).score
    )
    assert [rows[name]["pieces"] for name in (module.SRT, "their segments")] == [6, 4]
    assert rows["their segments"]["ends within 0.3 s (%)"] == 0
    *each, mean = module.rows_of_each(measured, padding_s=0.2)
    bleu = sacrebleu.corpus_bleu([wrong], [[right]]).score
    assert [row[module.SRT] for row in each] == pytest.approx([100, bleu])
    less = f"{module.SRT}, less {module.by_hand(0.2)}"
    assert [row[less] for row in each] == pytest.approx([100 - bleu, bleu - 100])
    # Student's quantile of one degree of freedom is 12.7062.
    half = 12.7062 * (100 - bleu) / 2
    assert mean[f"{module.SRT}, less {module.OWN_FILE}"] == f"{(bleu - 100) / 2:.2f} ± {half:.2f}"
    assert mean["utterances"] == 2


def test_a_word_is_delayed_until_it_is_stable(benchmark):
    def event(stable, heard_s, *, is_final=False, number=0):
        return LiveText(number, 0.0, heard_s, stable, "", is_final, heard_s, -1.0)

    events = [
        event("", 1.0),
        event("uno dos", 2.0),
        event("uno dos tres", 3.0),
        event("uno dos tres cuatro", 4.0, is_final=True),
        event("cinco", 6.0, is_final=True, number=1),
    ]
    text, delays_s = benchmark("live").words_and_delays(events)
    assert text == "uno dos tres cuatro cinco"
    assert delays_s == [2.0, 3.0, 4.0, 4.0, 6.0]


def test_what_is_cut_by_hand_is_the_speech_and_its_margin(benchmark):
    module = benchmark("joined")
    recording = np.arange(10 * SAMPLING_RATE, dtype=np.float32)
    one = module.Placed(utterance=None, start_s=2.0, end_s=4.0)
    cut = module.cut_out(recording, one, margin_s=0.5)
    assert (cut[0], cut[-1]) == (1.5 * SAMPLING_RATE, 4.5 * SAMPLING_RATE - 1)
    at_the_start = module.Placed(utterance=None, start_s=0.2, end_s=1.0)
    assert len(module.cut_out(recording, at_the_start, margin_s=0.5)) == 1.5 * SAMPLING_RATE


def test_both_run(run_main, model_folder, manifest):
    rows = run_main("long_recording", model_folder, manifest, "--minutes", "0.5")
    *by_hand, subtitles, segments = rows
    assert [row["of"] for row in by_hand[:2]] == [
        "each utterance's own file",
        "cut by hand, 0.0 s around",
    ]
    assert {row["pieces"] for row in by_hand} == {4}
    assert subtitles["pieces"] >= segments["pieces"] >= 4
    assert 50 < subtitles["starts within 0.3 s (%)"] <= 100
    assert 50 < segments["starts within 0.3 s (%)"] <= 100
    rows = run_main(
        "live", model_folder, manifest, "--every", "1", "--beam", "1", "--utterances", "2"
    )
    assert [row["translation"] for row in rows] == ["at the end", "live, every 1 s"]
    assert rows[1]["first words (s)"] <= rows[0]["first words (s)"]


def test_memory_is_measured_over_the_length(run_main, model_folder, manifest):
    arguments = (str(model_folder), str(manifest), "--minutes", 0.1, 0.3, "--beam-size", 1)
    rows = run_main("recording_length", *arguments)
    # With their pauses, the utterances end after 4, 8.5, 13.5, 17.7, and 21.7 s.
    assert [row["recording (minutes)"] for row in rows] == [0.1, 0.4]
    for row in rows:
        assert 100 < row["peak (MB)"] < 4000
        assert row["audio s per s"] > 0
