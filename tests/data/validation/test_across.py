"""Problems between rows, against brute force and scipy."""

import json
import random
from collections import Counter
from functools import partial

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from horizon_st.data.validation import validate
from horizon_st.data.validation.across import RateCheck


def found_by(report_folder, kind):
    rows = [
        json.loads(line)
        for line in (report_folder / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return {
        (row["place"].rpartition("/")[2], row["id"]): row["found"]
        for row in rows
        if row["kind"] == kind
    }


@pytest.fixture
def survey(tmp_path_factory):
    """A function: manifests -> (report, folder with problems.jsonl), without audio."""

    def run(*manifests):
        out = tmp_path_factory.mktemp("out")
        return validate(manifests, out=out, check_audio=False), out

    return run


def test_what_comes_twice_is_what_brute_force_finds(many, survey):
    rng = random.Random(3)
    splits = {
        name: [(2.0, f"source {rng.randrange(150)}", "zwei Wörter") for _ in range(count)]
        for name, count in (("train", 200), ("dev", 30), ("test", 30))
    }
    report, out = survey(*(many(name, rows) for name, rows in splits.items()))
    held_out = {"train": ("dev", "test"), "dev": ("test",), "test": ()}
    expected = set()
    for name, rows in splits.items():
        others = {row for other in held_out[name] for row in splits[other]}
        expected |= {
            (f"{name}.jsonl:{n}", f"{name}{n - 1}")
            for n, row in enumerate(rows, 1)
            if row in others
        }
    leaks = found_by(out, "sentence in two splits")
    assert set(leaks) == expected
    assert expected
    assert report.num_errors == 0
    for (place, _), found in leaks.items():
        name, number = place.split(".jsonl:")
        other, where = found.split(": ")[0].rsplit("/", 1)[1].split(".jsonl:")
        assert splits[other][int(where) - 1] == splits[name][int(number) - 1]
        assert found.endswith("“zwei Wörter”")


def test_case_and_blanks_do_not_hide_a_leak_but_other_texts_do(many, survey):
    train = [(1.0, "A  b", "C"), (1.0, "a b", "d"), (1.0, None, "c"), (1.0, "x", "c")]
    _, out = survey(many("train", train), many("dev", [(1.0, "a b", "c"), (1.0, None, "C ")]))
    assert set(found_by(out, "sentence in two splits")) == {("train.jsonl:1", "train0")}


def test_without_transcripts_the_same_translation_is_no_leak_but_counted(many, survey):
    oui = (1.0, None, "Oui.")
    report, out = survey(many("train", [oui, oui]), many("dev", [oui]), many("test", [oui]))
    assert report.problems.counts == {"translation in two splits": 2}
    assert set(found_by(out, "translation in two splits")) == {
        ("dev.jsonl:1", "dev0"),
        ("test.jsonl:1", "test0"),
    }


@pytest.mark.parametrize(("side", "index"), [("transcript", 1), ("translation", 2)])
def test_one_text_in_two_splits_is_what_brute_force_finds(many, survey, side, index):
    rng = random.Random(5)
    splits = {
        name: [
            (1.0, rng.choice([None, *map(str, range(9))]), f"w{rng.randrange(60)}")
            for _ in range(count)
        ]
        for name, count in (("train", 40), ("dev", 30), ("test", 30))
    }
    _, out = survey(*(many(name, rows) for name, rows in splits.items()))
    earlier = {"train": (), "dev": ("train",), "test": ("train", "dev")}
    expected = set()
    for name, rows in splits.items():
        others = [row for other in earlier[name] for row in splits[other]]
        expected |= {
            (f"{name}.jsonl:{n}", f"{name}{n - 1}")
            for n, row in enumerate(rows, 1)
            if row[index] is not None
            and (row not in others or row[1] is None)
            and row[index] in [other[index] for other in others]
        }
    found = found_by(out, f"{side} in two splits")
    assert set(found) == expected
    assert expected
    for (place, _), text in found.items():
        name, number = place.split(".jsonl:")
        other, where = text.split(": ")[0].rsplit("/", 1)[1].split(".jsonl:")
        assert splits[other][int(where) - 1][index] == splits[name][int(number) - 1][index]


def test_one_recording_in_two_splits_is_what_brute_force_finds(many, survey, damage):
    rng = random.Random(7)
    sizes = {"train": 60, "dev": 15, "test": 15}
    paths = {name: many(name, [(1.0, None, f"{name}")] * size) for name, size in sizes.items()}
    pieces = {}
    for name, path in paths.items():
        for number in range(1, sizes[name] + 1):
            audio = rng.choice(["train0.wav", "./train0.wav", "dev0.wav"])
            times = 20 * rng.random(), rng.choice([0.5, 1.0, 3.0])
            channel = rng.choice([0, 1])
            damage(path, number, partial(set_piece, audio=audio, times=times, channel=channel))
            pieces[name, number] = ((audio.removeprefix("./"), channel), times[0], sum(times))
    report, out = survey(*paths.values())
    held_out = {"train": ("dev", "test"), "dev": ("test",), "test": ()}
    expected = {
        (f"{name}.jsonl:{number}", f"{name}{number - 1}"): {
            f"{other}.jsonl:{n}"
            for (other, n), held in pieces.items()
            if other in held_out[name] and is_same_sound(piece, held)
        }
        for (name, number), piece in pieces.items()
    }
    expected = {row: places for row, places in expected.items() if places}
    found = found_by(out, "recording in two splits")
    assert 10 < len(expected) < 60
    assert found.keys() == expected.keys()
    for row, places in expected.items():
        assert found[row].split(": ")[0].rsplit("/", 1)[1] in places
    assert report.num_errors == 0


def set_piece(line, audio, times, channel):
    line |= {"start": times[0], "duration": times[1], "channel": channel}
    line["recording"] |= {"duration": 30.0, "num_samples": 480_000, "channel_ids": [0, 1]}
    line["recording"]["sources"][0] |= {"source": audio, "channels": [0, 1]}


def is_same_sound(one, other):
    (of_one, *times), (of_other, *other_times) = one, other
    shared_s = min(times[1], other_times[1]) - max(times[0], other_times[0])
    shorter_s = min(times[1] - times[0], other_times[1] - other_times[0])
    return of_one == of_other and shared_s > shorter_s / 2


def test_known_translations_are_a_share(many, survey):
    train = many("train", [(1.0, "a", "The Sea"), (1.0, "b", "sky")])
    dev = many("dev", [(1.0, "c", "the sea"), (1.0, "d", "boat"), (1.0, "e", "sea")])
    report, _ = survey(train, dev)
    assert [split.known_translations for split in report.summary.splits] == [None, 1 / 3]


def test_ids_that_come_twice_name_the_first_one(many, survey, damage):
    train, dev = many("train", [(1.0, "a", "b")] * 5), many("dev", [(1.0, "c", "d")] * 2)
    for number in (4, 5):
        damage(train, number, lambda line: line.update(id="train1"))
    damage(dev, 2, lambda line: line.update(id="train1"))
    report, out = survey(train, dev)
    assert found_by(out, "duplicate id") == {
        ("train.jsonl:4", "train1"): f"also at {train}:2",
        ("train.jsonl:5", "train1"): f"also at {train}:2",
    }
    assert found_by(out, "id in two splits") == {
        ("dev.jsonl:2", "train1"): f"also at {train}:2",
    }
    assert report.num_errors == 2
    assert [split.num_usable for split in report.summary.splits] == [3, 2]


def sentence(num_chars):
    return ("la mesa roja " * (num_chars // 13 + 1))[: num_chars - 1] + "x"


def test_bounds_of_the_rate_are_those_of_scipy(many, survey):
    rng = np.random.default_rng(1)
    rows = [
        (float(duration_s), None, sentence(max(2, int(duration_s * 14 * rng.lognormal(0, 0.3)))))
        for duration_s in rng.uniform(1, 8, 300)
    ]
    report, _ = survey(many("train", rows[:250]), many("dev", rows[250:]))
    logs = np.log([len(text) / duration_s for duration_s, _, text in rows])
    deviation = 4 * median_abs_deviation(logs, scale="normal")
    [rates] = report.summary.rates
    assert rates.side == "translation"
    assert rates.median == pytest.approx(np.exp(np.median(logs)))
    assert rates.lowest == pytest.approx(np.exp(np.median(logs) - deviation))
    assert rates.highest == pytest.approx(np.exp(np.median(logs) + deviation))
    assert not report.problems.counts["characters per second"]


def test_absurd_rates_are_found_but_short_words_between_pauses_are_not(many, survey):
    rows = [(3.0, "a", sentence(42)) for _ in range(30)]
    rows += [(2.0, "a", sentence(400)), (9.0, "a", "sí"), (1.5, "a", "sí"), (0.3, "a", "mañana")]
    _, out = survey(many("train", rows))
    flagged = found_by(out, "characters per second")
    assert {
        place: found.split(" in the translation ")[0] for (place, _), found in flagged.items()
    } == {
        "train.jsonl:31": "200.0",
        "train.jsonl:32": "0.2",
    }
    assert flagged["train.jsonl:32", "train31"] == (
        "0.2 in the translation (2 in 9.00 s; median 14.0): “sí”"
    )


def test_few_rows_have_no_absurd_rate(many, survey):
    report, _ = survey(many("train", [(1.0, None, sentence(14))] * 18 + [(1.0, None, "x" * 900)]))
    assert not report.problems.counts
    assert RateCheck(report.splits, "translation").bounds is None


def test_another_script_is_found_and_borrowed_letters_are_not(many, survey):
    rows = [(1.0, "ωpεpε mώωkωω", "une phrase française") for _ in range(3)]
    rows += [(1.0, "wa adi", "une phrase"), (1.0, "wa adi ko", "по-русски"), (1.0, "wa", "α, β")]
    rows += [(1.0, "wa ikia ada", "une phrase")] * 3
    _, out = survey(many("train", rows))
    assert found_by(out, "wrong script") == {
        ("train.jsonl:5", "train4"): ("100 % Cyrillic in the translation, not Latin: “по-русски”")
    }


def test_the_summary_counts_letters_and_words_as_brute_force_does(many, survey):
    texts = ["le ciel, le CIEL", "Ça va ?", "le toit"]
    train = many("train", [(1.0, None, text) for text in texts])
    dev = many("dev", [(1.0, None, "le ciel œuvré ñ ñ"), (1.0, "ab", "va")])
    report, _ = survey(train, dev)
    known, new = (split.sides["translation"] for split in report.summary.splits)
    counts = Counter(["le", "ciel", "le", "ciel", "ça", "va", "le", "toit"])
    assert (known.num_tokens, known.num_types) == (counts.total(), len(counts))
    assert known.num_hapaxes == sum(count == 1 for count in counts.values())
    assert known.unknown_words is None
    assert new.unknown_characters == {"ñ": 2, "œ": 1, "u": 1, "r": 1, "é": 1}
    assert new.unknown_words == pytest.approx(3 / 6)
    lengths = [len(text) for text in texts]
    assert known.chars.mean == pytest.approx(np.mean(lengths))
    assert known.chars.quantiles == pytest.approx(np.quantile(lengths, [0, 0.05, 0.5, 0.95, 1]))
    assert report.summary.splits[1].sides["transcript"].num_texts == 1
