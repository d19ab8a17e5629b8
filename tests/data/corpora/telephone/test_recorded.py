"""The prompts themselves, with their official translations."""

import json

import pytest
from lhotse import CutSet

from horizon_st.data.corpora.telephone import build_recorded
from horizon_st.data.corpora.telephone.recordings import Recordings
from horizon_st.errors import UserError


@pytest.mark.parametrize("target", ["es", "fr", "it"])
def test_splits_cover_different_prompts_with_official_texts(target, tmp_path):
    summary = build_recorded(tmp_path / "c", target=target, num_dev=30, num_test=50)
    assert summary.num_utterances["dev"] == 30
    assert summary.num_utterances["test"] == 50
    assert summary.num_utterances["train"] > 200
    recordings = Recordings()
    official = {recordings[name].texts.get(target) for name in recordings.names()}
    supervisions = [
        cut.supervisions[0]
        for split in summary.num_utterances
        for cut in CutSet.from_jsonl_lazy(summary.folder / f"{split}.jsonl")
    ]
    assert {s.custom["translated_text"] for s in supervisions} <= official
    for texts in (
        [s.text.lower() for s in supervisions],
        [s.custom["translated_text"].lower() for s in supervisions],
    ):
        assert len(set(texts)) == len(texts)
    assert build_recorded(summary.folder, target=target, num_dev=30, num_test=50) == summary


def test_audio_is_that_of_the_prompt(tmp_path):
    summary = build_recorded(tmp_path / "c", target="it", num_dev=0, num_test=1)
    (cut,) = CutSet.from_jsonl_lazy(summary.folder / "test.jsonl")
    recordings = Recordings()
    names = {"telephone-" + name.replace("/", "-"): name for name in recordings.names()}
    recording = recordings[names[cut.id]]
    assert cut.recording.num_samples == recording.num_samples
    assert cut.supervisions[0].text == recording.texts["en"]
    description = json.loads((summary.folder / "corpus.json").read_text(encoding="utf-8"))
    assert description["part"] == "recorded"


def test_german_has_no_official_translation(tmp_path):
    with pytest.raises(UserError, match="target: expected one of es, fr, it, found de"):
        build_recorded(tmp_path / "c", target="de")


def test_sizes_that_leave_nothing_to_train_on_are_refused(tmp_path):
    with pytest.raises(UserError, match="num_dev and num_test: expected 0 or more, together fewer"):
        build_recorded(tmp_path / "c", num_dev=500, num_test=500)
