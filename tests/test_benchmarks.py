"""What the benchmarks compare with: the same values and gradients, at another cost."""

import dataclasses

import pytest
import torch

from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.objective.configuration import ObjectiveConfig
from horizon_st.training.step import MicroBatch, TrainingStep

ALL_ON = ObjectiveConfig(mt_weight=0.5, consistency_weight=1.0, rdrop_weight=3.0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = ModelConfig(
        speech_encoder=SpeechEncoderConfig(layers=1, d_model=16, ffn_dim=16, num_heads=2),
        text_model=TextModelConfig(
            encoder_layers=1, decoder_layers=1, d_model=16, ffn_dim=16, num_heads=2
        ),
    )
    return build_translator(config, vocab_size=40, pad_id=1, bos_id=0, eos_id=2).eval()


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"rdrop_weight": 0.0},
        {"rdrop_weight": 0.0, "consistency_weight": 0.0},
        {"mt_weight": 0.0, "consistency_weight": 0.0},
    ],
)
def test_the_plain_schedule_has_the_values_and_gradients_of_the_step(benchmark, model, weights):
    steps = benchmark("training_step")
    objective = dataclasses.replace(ALL_ON, **weights)
    batch = steps.make_batch(steps.Size(40, (1.0, 0.6, 0.3), ()), waveforms=False)
    plain = benchmark("plain_schedule").PlainSchedule(model, objective)
    found = {}
    for name in ("plain", "own"):
        model.zero_grad()
        if name == "plain":
            loss = plain(batch)
        else:
            count = torch.tensor(batch.num_target_tokens)
            loss, _ = TrainingStep(model, objective)(MicroBatch(batch), count, torch.tensor(1))
        loss.backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found[name] = (loss.item(), gradients)
    assert found["plain"][0] == pytest.approx(found["own"][0], rel=1e-5)
    assert found["plain"][1].keys() == found["own"][1].keys()
    for name, gradient in found["plain"][1].items():
        assert torch.allclose(gradient, found["own"][1][name], atol=1e-5), name


def test_steps_are_timed_side_by_side(run_main):
    plain, own = run_main("training_step", "tiny", "--rounds", 1, "--threads", 1)
    assert plain["times faster"] == 1.0
    assert own["times faster"] == pytest.approx(plain["seconds"] / own["seconds"])
    assert all(row["memory (MB)"] > 0 for row in (plain, own))
    assert all(0 < float(row["of the peak"].rstrip("%")) < 100 for row in (plain, own))


def test_epochs_are_timed(run_main):
    [row] = run_main("growth", "--minutes", 1, "--threads", 1)
    assert row["epoch (s)"] == pytest.approx(row["per minute of audio (s)"])
    assert 0 <= float(row["waiting for data"].rstrip("%")) < 100


def test_a_table_takes_its_place_in_the_page(benchmark, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n")
    put_table = benchmark("all").put_table
    put_table(page, "one", "| new |\n")
    put_table(page, "two", "| other |\n")
    assert page.read_text() == (
        "a\n<!-- one -->\n| new |\n<!-- end -->\nb\n<!-- two -->\n| other |\n<!-- end -->\n"
    )
    with pytest.raises(SystemExit, match="no place for three"):
        put_table(page, "three", "")
