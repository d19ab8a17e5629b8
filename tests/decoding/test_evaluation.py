"""Evaluation folders: what is written is read back, damage is named."""

import pytest

from horizon_st.decoding.evaluation import Evaluation, Sentence, read_evaluation, write_evaluation
from horizon_st.errors import UserError

SUMMARY = {
    "num_sentences": 1,
    "metrics": {},
    "scoring": {"lowercase": False, "tokenize": "13a"},
}
LINE = (
    '{"id": %s, "hypothesis": %s, "reference": "c", "source": null, "duration_s": 1.5, '
    '"log_probability": -0.25, "num_tokens": 4, "bleu": 0.0, "chrf": 12.5}\n'
)
SENTENCE = Sentence("utt1", "a\u2028b ñ", "c", None, 1.5, -0.25, 4, 0.0, 12.5)


@pytest.fixture
def folder(tmp_path):
    write_evaluation(Evaluation(SUMMARY, [SENTENCE]), tmp_path / "eval")
    return tmp_path / "eval"


def test_an_evaluation_survives_a_round_trip(folder):
    assert read_evaluation(folder) == Evaluation(SUMMARY, [SENTENCE])
    assert sorted(path.name for path in folder.iterdir()) == [
        "hypotheses.txt",
        "scores.json",
        "sentences.jsonl",
    ]


def test_a_failed_write_leaves_the_old_files_whole(folder):
    with pytest.raises(TypeError):
        write_evaluation(Evaluation({"num_sentences": object()}, [SENTENCE]), folder)
    assert read_evaluation(folder).sentences == [SENTENCE]
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.json", None, r"expected an evaluation .* found no scores\.json"),
        ("sentences.jsonl", None, r"found no sentences\.jsonl"),
        ("scores.json", "{", r"scores\.json: expected JSON"),
        ("sentences.jsonl", '{"id"\n', r"sentences\.jsonl:1: expected JSON"),
        ("sentences.jsonl", '{"id": "utt1"}\n', r"sentences\.jsonl:1: expected the fields bleu, "),
        ("sentences.jsonl", "", "expected the 1 sentences .* found 0"),
        (
            "scores.json",
            "[]",
            r"scores\.json: expected a JSON object, found \[\]\. Run `horizon-st",
        ),
        ("scores.json", "null", r"scores\.json: expected a JSON object, found None"),
        ("scores.json", "\xff", r"scores\.json: expected JSON in UTF-8, found UnicodeDecodeError"),
        ("sentences.jsonl", "\xff", r"sentences\.jsonl:1: expected JSON in UTF-8, found Unicode"),
        ("sentences.jsonl", "[]\n", r"sentences\.jsonl:1: expected the fields .* found \[\]"),
        (
            "sentences.jsonl",
            LINE % ('"utt1"', "null"),
            r"sentences\.jsonl:1: hypothesis: expected text, found None",
        ),
        ("sentences.jsonl", LINE % ("1", '"a"'), r"sentences\.jsonl:1: id: expected text, found 1"),
        ("scores.json", "{}", r"scores\.json: expected the key num_sentences, found none"),
        (
            "scores.json",
            '{"num_sentences": 1, "metrics": {}}',
            r"scores\.json: expected the key scoring\.lowercase, found none",
        ),
        (
            "scores.json",
            '{"num_sentences": 1, "metrics": {}, "scoring": {"lowercase": true}}',
            r"scores\.json: expected the key scoring\.tokenize, found none",
        ),
        (
            "scores.json",
            '{"num_sentences": 1, "metrics": {}, "scoring": 3}',
            r"scores\.json: expected the key scoring\.lowercase, found none",
        ),
    ],
)
def test_a_damaged_folder_is_refused(folder, name, content, message):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        read_evaluation(folder)
