"""Model cards: what is known, in the hub's own form; what is another model's is refused."""

import json
import socket

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file

from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.evaluate import evaluate
from horizon_st.decoding.model_card import write_card
from horizon_st.decoding.trained import weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.inference import publishing
from horizon_st.inference.publishing import push_to_hub

RECORD = {
    "name": "mine",
    "seed": 7,
    "num_parameters": 1_234_567,
    "precision": "no",
    "recipe": {
        "data": {
            "train": "/home/me/corpus/train.jsonl",
            "source_language": None,
            "target_language": "es_XX",
        },
        "objective": {
            "mt_weight": 0.5,
            "consistency_weight": 1.0,
            "rdrop_weight": 3.0,
            "ctc_weight": 0.0,
            "mt_rdrop_weight": 0.0,
            "tap": "logits",
            "adaptive": {"every_steps": 10, "rate": 0.05},
        },
        "initial_model": "/home/me/runs/first/model",
    },
    "data_fingerprint": {
        "train": "0123456789abcdef0123",
        "initial_model": "a" * 20,
    },
    "stages": [{"name": "st", "steps": 900, "final": {"loss": 1.5, "bleu": 31.25}}],
    "versions": {"torch": "2.13.0"},
}


@pytest.fixture
def scores(model_folder, manifest, tmp_path):
    config = DecodingConfig(beam_size=1, max_tokens=5)
    return evaluate(model_folder, manifest, tmp_path / "scores", config=config)


def test_a_card_says_what_is_known(model_folder, scores, tmp_path):
    path = write_card(
        model_folder, record=RECORD, scores=[tmp_path / "scores"], licence="cc-by-4.0"
    )
    card = ModelCard.load(path)
    assert card.data.license == "cc-by-4.0"
    assert card.data.language == ["es"]
    found = {
        one.metric_name: (one.metric_value, one.metric_config) for one in card.data.eval_results
    }
    assert found == {
        name: (round(metric["value"], 2), metric["signature"])
        for name, metric in scores.summary["metrics"].items()
    }
    for text in (
        "α_t = 0.5, α_cr = 1, α_rd = 3, α_ctc = 0, tap = logits, adaptive.every_steps = 10.",
        "`st`: 900 updates; on the dev set: loss 1.50, bleu 31.25",
        "corpus/train.jsonl (SHA-256 `0123456789abcdef…`)",
        "Initial model: first/model (SHA-256 `aaaaaaaaaaaaaaaa…`)",
        "1,234,567 parameters, precision fp32.",
        'from_pretrained("path/of/this/folder")',
        "seed 7",
        f"| {scores.summary['num_sentences']} | BLEU | {scores.value_of('BLEU'):.2f} |",
        "## Intended use",
    ):
        assert text in card.text
    assert "/home/me" not in card.content


def test_what_is_not_known_is_said_to_be(model_folder):
    card = ModelCard.load(write_card(model_folder))
    assert "No test scores are given." in card.text
    assert "Nothing is known about its training." in card.text
    assert "Not given: ask whoever published" in card.text
    assert card.data.license is None


@pytest.fixture
def beside(model_folder):
    """A function: writes a record, or any text, beside the model."""

    def write(record):
        text = record if isinstance(record, str) else json.dumps(record)
        (model_folder.parent / "record.json").write_text(text, encoding="utf-8")

    return write


def test_the_record_beside_the_model_is_read(model_folder, beside):
    beside(RECORD | {"model_sha256": weights_fingerprint(model_folder)})
    assert "# mine" in ModelCard.load(write_card(model_folder)).text


@pytest.mark.parametrize("digest", [{}, {"model_sha256": "0" * 64}, {"model_sha256": None}])
def test_a_record_of_another_model_is_not_taken(model_folder, beside, digest):
    beside(RECORD | digest)
    assert "Nothing is known about its training." in ModelCard.load(write_card(model_folder)).text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"recipe": None},
            r"record\.json: recipe: expected what .*train` writes there, found noth",
        ),
        ({"recipe": {"data": {}, "objective": {}}}, r"recipe\.objective\.mt_weight: .* nothing"),
        ({"seed": "one"}, r"record\.json: seed: expected what .* found one\. Train again"),
        ({"stages": [{"name": "st", "final": None}]}, r"stages\.0\.steps: expected"),
        ({"stages": ["st"]}, r"stages\.0: expected what .* found st"),
        (
            {"stages": [{"name": "st", "steps": 1, "final": {"bleu": None}}]},
            r"stages\.0\.final\.bleu: expected",
        ),
        ({"data_fingerprint": {"train": 1}}, r"data_fingerprint\.train: expected"),
    ],
)
def test_a_record_that_is_incomplete_is_refused(model_folder, beside, change, message):
    record = RECORD | {"model_sha256": weights_fingerprint(model_folder)} | change
    beside({key: value for key, value in record.items() if value is not None})
    with pytest.raises(UserError, match=message):
        write_card(model_folder)


@pytest.mark.parametrize(
    ("text", "found"), [('{"name": "mi', "JSONDecodeError"), ("[1]", r"found \[1\]")]
)
def test_a_record_that_is_damaged_is_refused(model_folder, beside, text, found):
    beside(text)
    with pytest.raises(UserError, match=rf"record\.json: expected a JSON object.*{found}.* Train"):
        write_card(model_folder)


def test_a_card_that_its_owner_wrote_is_kept(model_folder):
    (model_folder / "README.md").write_text("my own words", encoding="utf-8")
    assert write_card(model_folder, record=RECORD).read_text(encoding="utf-8") == "my own words"


def test_a_card_that_its_owner_wrote_takes_nothing_that_is_given(
    model_folder, scores, tmp_path, monkeypatch
):
    monkeypatch.setattr(publishing, "HfApi", Hub)
    monkeypatch.setattr(Hub, "calls", [])
    (model_folder / "README.md").write_text("my own words", encoding="utf-8")
    (tmp_path / "contour.png").write_bytes(b"png")
    for given in (
        {"scores": [tmp_path / "scores"]},
        {"licence": "mit"},
        {"picture": tmp_path / "contour.png"},
    ):
        with pytest.raises(UserError, match=r"README\.md: expected the line .* a card of your own"):
            push_to_hub(model_folder, "me/mine", **given)
    assert Hub.calls == []
    assert not (model_folder / "horizon.png").exists()
    push_to_hub(model_folder, "me/mine")
    assert (model_folder / "README.md").read_text(encoding="utf-8") == "my own words"


@pytest.mark.parametrize(("key", "part"), [("model", "sha256"), ("manifest", "path")])
def test_scores_of_nothing_known_are_refused(model_folder, scores, tmp_path, key, part):
    path = tmp_path / "scores" / "scores.json"
    path.write_text(json.dumps(scores.summary | {key: {}}), encoding="utf-8")
    with pytest.raises(UserError, match=rf"scores: expected the key {key}\.{part} .*, found none"):
        write_card(model_folder, scores=[tmp_path / "scores"])


def test_scores_of_other_weights_are_refused(model_folder, scores, tmp_path):
    weights = load_file(model_folder / "model.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: torch.zeros_like(weights[name])}, model_folder / "model.safetensors")
    with pytest.raises(UserError, match=r"scores of the model in .*found those of other weights"):
        write_card(model_folder, scores=[tmp_path / "scores"])


def test_without_a_connection_that_is_what_is_told(model_folder, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(publishing, "HfApi", lambda: HfApi(endpoint=address, token="none"))
        with pytest.raises(UserError, match=r"me/mine: expected a repository .*refused.* Log in"):
            push_to_hub(model_folder, "me/mine")


class Hub:
    """Keeps what it is told, as `HfApi` would upload it."""

    endpoint = "https://hub.example"
    calls = []
    error = None

    def create_repo(self, repo_id, **options):
        if self.error is not None:
            raise self.error
        self.calls.append((repo_id, options))

    def upload_folder(self, **options):
        self.calls.append(options)


def test_a_model_is_pushed_with_its_card_and_picture(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "HfApi", Hub)
    monkeypatch.setattr(Hub, "calls", [])
    (tmp_path / "contour.png").write_bytes(b"png")
    address = push_to_hub(
        model_folder, "me/mine", licence="mit", picture=tmp_path / "contour.png", private=True
    )
    assert address == "https://hub.example/me/mine"
    created, uploaded = Hub.calls
    assert created == ("me/mine", {"private": True, "exist_ok": True})
    assert uploaded["repo_id"] == "me/mine"
    assert {"README.md", "horizon.png", "*.safetensors"} <= {*uploaded["allow_patterns"]}
    card = ModelCard.load(uploaded["folder_path"] / "README.md")
    assert "(horizon.png)" in card.text
    assert 'from_pretrained("me/mine")' in card.text
    assert (model_folder / "horizon.png").read_bytes() == b"png"


def test_what_the_hub_refuses_is_told_and_nothing_broken_is_pushed(
    model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(publishing, "HfApi", Hub)
    monkeypatch.setattr(Hub, "calls", [])
    monkeypatch.setattr(Hub, "error", OSError("no connection"))
    with pytest.raises(UserError, match=r"me/mine: expected a repository .*no connection.* Log in"):
        push_to_hub(model_folder, "me/mine")
    with pytest.raises(UserError, match=r"none\.png: expected a picture"):
        push_to_hub(model_folder, "me/mine", picture=tmp_path / "none.png")
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no model\.safetensors"):
        push_to_hub(model_folder, "me/mine")
    assert Hub.calls == []
