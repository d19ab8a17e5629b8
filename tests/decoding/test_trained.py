"""Loading a model folder: the same weights come back, and every kind of damage is named."""

import json
from fnmatch import fnmatch

import pytest
import torch
import transformers
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from horizon_st.decoding.model_folder import HUB_PATTERNS
from horizon_st.decoding.trained import load_trained_model, weights_fingerprint
from horizon_st.errors import UserError

TOKENIZERS = (
    "BartTokenizer", "M2M100Tokenizer", "MBart50Tokenizer", "MBartTokenizer", "MarianTokenizer",
    "NllbTokenizer", "PreTrainedTokenizerFast", "T5Tokenizer",
)  # fmt: skip


@pytest.mark.parametrize("encoder", ["fbank", "hubert-group"])
@pytest.mark.parametrize("architecture", ["bart", "marian", "m2m_100", "t5"])
def test_a_saved_model_comes_back(
    make_model, tokenizer, frontends, recordings, tmp_path, encoder, architecture
):
    model = make_model(encoder, architecture).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    frontends[encoder].save_pretrained(tmp_path)
    trained = load_trained_model(str(tmp_path), device="cpu")
    assert not trained.model.training
    assert trained.model.dtype == torch.float32
    speech = frontends[encoder](recordings[0])
    assert torch.equal(trained.frontend(recordings[0]), speech)
    lengths = torch.tensor([len(speech)])
    with torch.no_grad():
        expected = model.encode_speech(speech[None], lengths).states
        assert torch.equal(trained.model.encode_speech(speech[None], lengths).states, expected)


def test_weights_in_half_precision_are_decoded_in_single(model_folder):
    weights = load_file(model_folder / "model.safetensors")
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(halves, model_folder / "model.safetensors", metadata={"format": "pt"})
    assert load_trained_model(model_folder).model.dtype == torch.float32


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(model_folder, device):
    with pytest.raises(UserError, match=rf"device: expected a device .*, found {device}, and "):
        load_trained_model(model_folder, device=device)


def test_the_fingerprint_follows_the_weights(model_folder):
    before = weights_fingerprint(model_folder)
    weights = load_file(model_folder / "model.safetensors")
    weights["subsampler.conv_layers.0.bias"] += 1
    save_file(weights, model_folder / "model.safetensors", metadata={"format": "pt"})
    assert weights_fingerprint(model_folder) != before


def test_sharded_weights_are_read(make_model, model_folder):
    before = weights_fingerprint(model_folder)
    (model_folder / "model.safetensors").unlink()
    make_model().save_pretrained(model_folder, max_shard_size="100KB")
    assert not (model_folder / "model.safetensors").exists()
    assert load_trained_model(model_folder).model.num_parameters() == make_model().num_parameters()
    assert weights_fingerprint(model_folder) != before


@pytest.mark.parametrize(
    "name",
    ["config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json"],
)
def test_a_missing_file_is_named(model_folder, name):
    (model_folder / name).unlink()
    with pytest.raises(
        UserError, match=rf"model: expected a model folder .* found no {name}\. Give"
    ):
        load_trained_model(model_folder)


def test_a_missing_tokenizer_is_named(model_folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model_folder / name).unlink()
    with pytest.raises(UserError, match="tokenizer"):
        load_trained_model(model_folder)


def test_a_truncated_checkpoint_is_named(model_folder):
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"model\.safetensors: expected weights .* truncated"):
        load_trained_model(model_folder)


def test_a_checkpoint_of_another_model_is_named(model_folder):
    weights = load_file(model_folder / "model.safetensors")
    del weights["subsampler.conv_layers.0.bias"]
    save_file(weights, model_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 that differ, the first is subsampler\.conv_layers\.0"):
        load_trained_model(model_folder)
    weights["subsampler.conv_layers.0.bias"] = torch.zeros(5)
    save_file(weights, model_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="expected weights that fit config"):
        load_trained_model(model_folder)


def test_a_folder_of_another_library_is_refused(model_folder):
    config = model_folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**values, "model_type": "bart"}), encoding="utf-8")
    with pytest.raises(UserError, match="expected model_type 'horizon_st', found bart"):
        load_trained_model(model_folder)
    config.write_text("[", encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json: expected a JSON object"):
        load_trained_model(model_folder)


GENERATION = r"generation_config\.json: expected "
FRONTEND = r"preprocessor_config\.json: expected the settings of a front end as JSON, found "
TOKENIZER = r"model: expected .* with a tokenizer \(tokenizer\.json\), found "


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("generation_config.json", "{", GENERATION + "a JSON object, found JSONDecodeError: "),
        ("generation_config.json", "", GENERATION + "a JSON object, found JSONDecodeError: "),
        ("generation_config.json", "\xff", GENERATION + "a JSON object, found UnicodeDecodeError"),
        (
            "generation_config.json",
            "[]",
            GENERATION + r"a JSON object, found \[\]\. Copy the whole",
        ),
        ("generation_config.json", "{}", GENERATION + "a value of eos_token_id, found none"),
        (
            "generation_config.json",
            '{"eos_token_id": 2, "max_new_tokens": -1}',
            GENERATION + "the settings of generation, found ",
        ),
        ("preprocessor_config.json", "{", FRONTEND),
        ("preprocessor_config.json", "[]", FRONTEND + "AttributeError"),
        ("preprocessor_config.json", "{}", FRONTEND + "ValueError"),
        ("tokenizer.json", "{}", TOKENIZER + "KeyError: 'added_tokens'"),
        ("tokenizer.json", "[]", TOKENIZER + "TypeError"),
        ("tokenizer.json", "[", TOKENIZER + "JSONDecodeError"),
        ("tokenizer.json", '{"added_tokens": [], "model": {}}', TOKENIZER),
        ("tokenizer_config.json", "[]", TOKENIZER + "AttributeError"),
    ],
)
def test_a_damaged_file_is_named(model_folder, name, content, message):
    (model_folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message) as refusal:
        load_trained_model(model_folder)
    assert len(refusal.value.found) < 350


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_config": None}, "AttributeError"),
        ({"text_config": []}, "AttributeError"),
        ({"text_config": {}}, "KeyError: 'model_type'"),
        ({"text_config": {"model_type": "nonesuch"}}, "ValueError: .*nonesuch.* …"),
        ({"text_config": {"model_type": "bert"}}, "(Value|Attribute)Error: "),
        ({"text_config": {"model_type": "bart", "d_model": "x"}}, "Strict.*d_model"),
        ({"text_config": {"model_type": "bart", "encoder_attention_heads": 0}}, "ZeroDivision"),
        ({"speech_config": {"model_type": "nonesuch"}}, "ValueError: .*nonesuch.* …"),
        ({"kernel_sizes": "x"}, "Type(Check)?Error"),
        ({"kernel_sizes": 5}, "Type(Check)?Error"),
        ({"num_mel_bins": None}, "Type(Check)?Error"),
    ],
)
def test_a_damaged_config_is_named(model_folder, changes, message):
    config = model_folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8")) | changes
    if values["text_config"] is None:
        del values["text_config"]
    config.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(
        UserError,
        match=rf"config\.json: expected the settings of a model, found {message}.* Copy the whole",
    ) as refusal:
        load_trained_model(model_folder)
    assert len(refusal.value.found) < 350


def test_a_path_that_is_not_there_is_not_looked_up_on_the_hub(tmp_path):
    for source in (tmp_path / "none", str(tmp_path / "none"), "./none"):
        with pytest.raises(UserError, match="expected a model folder, found no such folder"):
            load_trained_model(source)


def test_an_unreachable_hub_names_the_way_around(monkeypatch):
    def unreachable(*_args, **_options):
        raise LocalEntryNotFoundError("the hub cannot be reached")

    monkeypatch.setattr("horizon_st.decoding.model_folder.snapshot_download", unreachable)
    with pytest.raises(UserError, match=r"cannot be reached\. .*hf download someone/some-model"):
        load_trained_model("someone/some-model")


def test_a_hub_id_is_fetched(monkeypatch, model_folder):
    monkeypatch.setattr(
        "horizon_st.decoding.model_folder.snapshot_download",
        lambda *_args, **_options: model_folder,
    )
    assert load_trained_model("someone/some-model").folder == model_folder


@pytest.mark.parametrize("name", TOKENIZERS)
def test_of_the_hub_every_file_of_a_tokenizer_is_fetched(name):
    files = {*getattr(transformers, name).vocab_files_names.values(), "tokenizer_config.json"}
    missed = [file for file in files if not any(fnmatch(file, p) for p in HUB_PATTERNS)]
    assert missed == []


def test_the_hub_is_asked_for_files_by_these_patterns(monkeypatch, model_folder):
    asked = []

    def fetch(_source, *, allow_patterns):
        asked.extend(allow_patterns)
        return model_folder

    monkeypatch.setattr("horizon_st.decoding.model_folder.snapshot_download", fetch)
    load_trained_model("someone/some-model")
    assert asked == [*HUB_PATTERNS]
