"""What keeps training from starting."""

import json

import pytest

from horizon_st.data.validation import before_training, check_before_training
from horizon_st.errors import UserError


def test_a_flawless_manifest_may_be_trained_on(corpus):
    check_before_training(corpus / "train.jsonl")


def test_the_first_error_and_the_number_of_all_are_told_with_the_command(corpus, damage):
    path = corpus / "train.jsonl"
    damage(path, 2, lambda line: line.update(start=7.0))
    damage(path, 3, lambda line: line.update(id="train0"))
    (corpus / "train3.wav").unlink()
    message = (
        rf"train\.jsonl:2: utterance train1: expected a manifest without errors, found segment "
        rf"outside recording: 7\.00 s to 8\.20 s; expected a piece of its recording of 1\.20 s; "
        rf"3 errors in all\. `horizon-st validate {path}` lists them all"
    )
    with pytest.raises(UserError, match=message):
        check_before_training(path)


def test_a_single_error_is_told_alone(corpus):
    with (corpus / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write("[]\n")
    with pytest.raises(
        UserError, match=r"train\.jsonl:5: expected .*, found not a cut: .* as JSON\. `"
    ):
        check_before_training(corpus / "train.jsonl")


def test_an_empty_or_missing_manifest_is_refused(tmp_path):
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(
        UserError, match=r"train\.jsonl: expected .*, found no utterances: an empty"
    ):
        check_before_training(tmp_path / "train.jsonl")
    with pytest.raises(UserError, match=r"nix\.jsonl: expected .*: no such file"):
        check_before_training(tmp_path / "nix.jsonl")


def test_a_test_set_without_references_is_not_trained_on(corpus, damage):
    path = (corpus / "train.jsonl").rename(corpus / "eval.jsonl")
    damage(path, 2, lambda line: line["supervisions"][0].update(custom=None))
    with pytest.raises(UserError, match=r"eval\.jsonl:2: .* found no reference: none\. `"):
        check_before_training(path)


def test_warnings_and_sound_do_not_matter(corpus, damage):
    (corpus / "train0.wav").write_bytes(b"no sound")
    damage(corpus / "train.jsonl", 2, lambda line: line.update(duration=0.1))
    check_before_training(corpus / "train.jsonl")


def test_only_the_first_lines_are_read(corpus, monkeypatch):
    monkeypatch.setattr(before_training, "NUM_LINES", 4)
    with (corpus / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write("{\n")
    check_before_training(corpus / "train.jsonl")
    monkeypatch.setattr(before_training, "NUM_LINES", 5)
    with (corpus / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({}) + "\n")
    (corpus / "train1.wav").unlink()
    with pytest.raises(UserError, match=r"2 errors in all in the first 5 lines"):
        check_before_training(corpus / "train.jsonl")
