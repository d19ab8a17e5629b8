"""What training sees of a manifest that is too large to be read whole."""

import json

import numpy as np
import pytest

from horizon_st.data import blocks, cuts, manifest
from horizon_st.data.manifest import read_manifest
from horizon_st.errors import UserError

NUMBER = 600


@pytest.fixture
def lines(cut_line, write_manifest):
    """Manifest lines of one audio file; every third has no transcript."""
    path = write_manifest([0.5])
    made = []
    for number in range(NUMBER):
        text = "hello" if number % 3 else None
        line = cut_line(f"utt{number}", 0.1 + number / 2000, text=text, source="train0.wav")
        line["recording"]["duration"], line["recording"]["num_samples"] = 0.5, 8000
        made.append(line)
    return path.parent, made


@pytest.fixture
def write(lines, monkeypatch):
    """A function: lines -> a manifest, of which 100 cuts are surveyed and blocks hold few."""
    monkeypatch.setattr(cuts, "SURVEY_UTTERANCES", 100)
    monkeypatch.setattr(manifest, "SURVEY_UTTERANCES", 100)
    monkeypatch.setattr(manifest, "_MOST_KNOWN_IDS", 50)
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", 4000)
    folder, made = lines

    def to_file(chosen=made):
        path = folder / "large.jsonl"
        path.write_text("\n".join(map(json.dumps, chosen)) + "\n", encoding="utf-8")
        return read_manifest(path)

    return to_file


def ids(found):
    return [cut.id for cut in found]


def test_a_survey_of_a_small_manifest_is_all_of_it(write, lines):
    survey = write(lines[1][:100]).survey
    assert survey.is_whole
    assert survey.durations_s == [line["duration"] for line in lines[1][:100]]
    assert survey.longest_id == "utt99"
    assert survey.num_transcribed == 66


def test_a_survey_of_a_large_manifest_is_spread_over_it(write, lines):
    survey = write().survey
    assert not survey.is_whole
    assert 60 <= len(survey.durations_s) <= 100
    durations_s = [line["duration"] for line in lines[1]]
    for share in (0.1, 0.5, 0.9):
        expected = np.quantile(durations_s, share)
        assert np.quantile(survey.durations_s, share) == pytest.approx(expected, abs=0.02)


def test_a_small_manifest_keeps_its_order_in_every_epoch(write, lines):
    small = write(lines[1][:100])
    assert ids(small.of_epoch(1, 0)) == ids(small.of_epoch(5, 3)) == ids(small)


def test_the_order_of_a_large_one_follows_from_seed_and_epoch(write):
    large = write()
    orders = [ids(large.of_epoch(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)]
    for number, order in enumerate(orders):
        assert sorted(order) == sorted(f"utt{n}" for n in range(NUMBER))
        assert order not in orders[:number]
    assert ids(large.of_epoch(2, 1)) == orders[3]
    # Far lines come near each other: the first tenth of the epoch is from all over the file.
    early = [int(name.removeprefix("utt")) for name in orders[0][:60]]
    assert np.std(early) > NUMBER / 6


def test_ids_are_remembered_as_far_as_memory_allows(write, lines):
    made = lines[1]
    with pytest.raises(UserError, match=r"large\.jsonl:600: expected an id .*'utt7' twice"):
        list(write([*made[:-1], made[7]]))
    assert len(list(write([*made[:-1], made[70]]))) == NUMBER


def test_damage_between_the_surveyed_lines_is_refused_when_met(write, lines):
    made = [dict(line) for line in lines[1]]
    found = {duration: number for number, duration in enumerate(d["duration"] for d in made)}
    surveyed = {found[duration] for duration in write().survey.durations_s}
    unseen = next(number for number in range(300, NUMBER) if number not in surveyed)
    made[unseen]["start"] = 7.0
    large = write(made)
    assert large.survey.durations_s
    with pytest.raises(UserError, match=rf"large\.jsonl:byte \d+: utterance utt{unseen}: expected"):
        list(large.of_epoch(1, 0))
