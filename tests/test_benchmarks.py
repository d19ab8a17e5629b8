"""What the benchmarks compare with has the same values; what they measure is what they say."""

import dataclasses
import json
import subprocess
import sys
from contextlib import nullcontext
from itertools import chain, count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from horizon_st.config import build_config
from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.frontend import FilterbankFrontend
from horizon_st.data.sampling import speech_stream
from horizon_st.data.shar import open_cuts
from horizon_st.data.text import train_tokenizer
from horizon_st.errors import UserError
from horizon_st.horizon import gaussian_process
from horizon_st.model.build import build_translator
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.objective.configuration import ObjectiveConfig
from horizon_st.training.parts import Corpus
from horizon_st.training.recipe import Recipe
from horizon_st.training.step import MicroBatch, TrainingStep

ALL_ON = ObjectiveConfig(mt_weight=0.5, consistency_weight=1.0, rdrop_weight=3.0)


NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}


@pytest.fixture
def model(request, tmp_path):
    """In training, without dropout: on filterbanks, or on waveforms with HuBERT's convolutions."""
    torch.manual_seed(0)
    encoder = SpeechEncoderConfig(layers=1, d_model=16, ffn_dim=16, num_heads=2, dropout=0.0)
    if request.param == "hubert":
        hubert = HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(10, 8), num_feat_extract_layers=2,
            num_conv_pos_embeddings=3, num_conv_pos_embedding_groups=1, hidden_dropout=0.0,
            attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0, layerdrop=0.0,
        )  # fmt: skip
        HubertModel(hubert).save_pretrained(tmp_path)
        encoder = SpeechEncoderConfig(pretrained=str(tmp_path), freeze_feature_encoder=False)
    config = ModelConfig(
        speech_encoder=encoder,
        text_model=TextModelConfig(
            encoder_layers=1, decoder_layers=1, d_model=16, ffn_dim=16, num_heads=2, **NO_DROPOUT
        ),
    )
    return build_translator(config, vocab_size=40, pad_id=1, bos_id=0, eos_id=2).train()


@pytest.mark.parametrize("model", ["filterbanks", "hubert"], indirect=True)
@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"rdrop_weight": 0.0},
        {"rdrop_weight": 0.0, "consistency_weight": 0.0},
        {"mt_weight": 0.0, "consistency_weight": 0.0},
    ],
)
def test_the_plain_schedule_has_the_values_and_gradients_of_the_step(
    benchmark, request, model, weights
):
    steps = benchmark("training_step")
    objective = dataclasses.replace(ALL_ON, **weights)
    is_hubert = request.node.callspec.params["model"] == "hubert"
    batch = steps.make_batch(steps.Size(40, (1.0, 0.6, 0.3), ()), waveforms=is_hubert)
    convolved = []
    if is_hubert:
        model.speech_encoder.model.feature_extractor.register_forward_hook(
            lambda *_: convolved.append(1)
        )
    plain = benchmark("plain_schedule").PlainSchedule(model, objective)
    found = {}
    for name in ("plain", "own"):
        model.zero_grad()
        convolved.clear()
        if name == "plain":
            loss = plain(batch)
        else:
            count = torch.tensor(batch.num_target_tokens)
            loss, _ = TrainingStep(model, objective)(MicroBatch(batch), count, torch.tensor(1))
            assert len(convolved) == int(is_hubert)  # both passes share the convolutions
        loss.backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found[name] = (loss.item(), gradients)
    assert found["plain"][0] == pytest.approx(found["own"][0], rel=1e-5)
    assert found["plain"][1].keys() == found["own"][1].keys()
    assert any("conv" in name for name in found["own"][1])
    for name, gradient in found["plain"][1].items():
        assert torch.allclose(gradient, found["own"][1][name], atol=1e-5), name


def test_steps_are_timed_side_by_side(benchmark, run_main, monkeypatch):
    # A machine that does other things at that moment seems to have less of a peak than a step.
    monkeypatch.setattr(benchmark("measuring"), "matrix_product_peak", lambda dtype: 1e12)
    rows = run_main("training_step", "tiny", "--rounds", 1, "--threads", 1)
    plain, *_ = rows
    assert plain["times faster"] == 1.0
    for row in rows:
        assert row["times faster"] == pytest.approx(plain["seconds"] / row["seconds"])
        assert row["memory (MB)"] > 0
        assert 0 <= float(row["of the peak"].rstrip("%")) < 100


def test_the_time_of_a_step_with_rdrop_now_and_then_is_a_mean(benchmark, monkeypatch):
    steps = benchmark("training_step")
    clock = count()
    names = [contender.name for contender in steps.SIZES["tiny"].contenders]
    monkeypatch.setattr(steps, "make_steps", lambda size: dict.fromkeys(names, lambda: None))
    monkeypatch.setattr(steps.time, "perf_counter", lambda: float(next(clock)))
    assert steps.time_steps("tiny", 1, 1) == dict(zip(names, [[1.0], [1.0], [0.5]], strict=True))


def test_a_step_with_rdrop_now_and_then_is_the_mean_of_its_updates(benchmark, monkeypatch):
    steps = benchmark("training_step")
    often = steps.Contender("often", steps.ALL_ON)
    seldom = steps.Contender("seldom", steps.EVERY_SECOND)
    never = steps.Contender("never", dataclasses.replace(steps.ALL_ON, rdrop_weight=0.0))
    size = dataclasses.replace(steps.SIZES["tiny"], contenders=(often, seldom, never))
    monkeypatch.setitem(steps.SIZES, "tiny", size)
    # With equal times and peaks, what is left are the operations.
    monkeypatch.setattr(steps, "matrix_product_peak", lambda dtype: 1.0)
    found = steps.shares_of_peak("tiny", {c.name: [1.0] for c in size.contenders})
    assert found["seldom"] == pytest.approx((found["often"] + found["never"]) / 2)
    assert found["never"] < found["often"]


def test_a_whole_epoch_is_timed(benchmark, monkeypatch, tmp_path):
    growth = benchmark("growth")
    trained_on = []
    forward = TrainingStep.forward

    def spy(self, micro, *counts, **options):
        trained_on.extend(micro.speech.ids)
        return forward(self, micro, *counts, **options)

    monkeypatch.setattr(TrainingStep, "forward", spy)
    growth.make_corpus(tmp_path, 1)
    row = growth.measure(tmp_path)
    lines = (tmp_path / "train.jsonl").read_text().splitlines()
    cuts = [json.loads(line) for line in lines]
    assert sorted(trained_on) == sorted(cut["id"] for cut in cuts)
    assert row["audio (minutes)"] == pytest.approx(sum(cut["duration"] for cut in cuts) / 60)
    assert row["audio (minutes)"] > 1
    assert row["updates"] > 60 // growth.BATCH_S


def test_epochs_are_timed_in_a_process_of_their_own(run_main):
    [row] = run_main("growth", "--minutes", 1, "--threads", 1)
    assert row["epoch (s)"] == pytest.approx(
        row["per minute of audio (s)"] * row["audio (minutes)"]
    )
    assert 0 <= float(row["waiting for data"].rstrip("%")) < 100
    assert row["memory (MB)"] > 100


def test_two_processes_share_the_work_of_one(run_main, monkeypatch):
    asked = []
    start = subprocess.Popen

    def listened(*args, **kwargs):
        process = start(*args, **kwargs)
        communicate = process.communicate
        process.communicate = lambda: asked.append(communicate()) or asked[-1]
        return process

    monkeypatch.setattr(subprocess, "Popen", listened)
    products, apart, shared = run_main("processes", "--minutes", 1, "--products", 40, "--rounds", 1)
    one, left, right, two = (json.loads(output.splitlines()[-1]) for output, _ in asked)
    assert one["updates"] == left["updates"] == right["updates"]
    assert one["updates"] > two["updates"] >= one["updates"] / 2
    assert one["audio (minutes)"] == two["audio (minutes)"]
    assert (shared["one process (s)"], shared["two (s)"]) == (one["epoch (s)"], two["epoch (s)"])
    assert apart["one process (s)"] == 2 * one["epoch (s)"]
    assert apart["two (s)"] == max(left["epoch (s)"], right["epoch (s)"])
    assert products["times faster"] > 0


def test_searches_are_counted_until_they_are_good_enough(run_main, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- finder{of} -->\n<!-- end -->\n" for of in ("", " by kind")))
    options = ("--surfaces", 2, "--held-out", 2, "--noise", 0, "--seeds", 1, "--runs", 6)
    rows = run_main("finder", *options, "--processes", 1, "--page", page)
    ours, *rivals = [row for row in rows if row["surfaces"] == "built with"]
    assert ours["search"] == "find_horizon"
    searches = {"Optuna, GP", "Optuna, TPE", "random", "grid of 4 per weight"}
    assert {row["search"] for row in rivals} == searches
    assert [row["search"] for row in rows if row["surfaces"] == "held out"] == [
        row["search"] for row in (ours, *rivals)
    ]
    for row in rows:
        assert 1 <= row["first, median"] <= row["lasting, median"] <= 65
    assert page.read_text().count("find_horizon") == 3
    assert page.read_text().count("| cliff | 0 |") == 1
    # What has ended is not run again.
    lines = (tmp_path / "finder.jsonl").read_text()
    assert run_main("finder", *options, "--processes", 1) == rows
    assert (tmp_path / "finder.jsonl").read_text() == lines


@pytest.mark.parametrize("change", ["source", "Optuna"])
def test_outcomes_of_other_code_are_not_taken_over(benchmark, run_main, tmp_path, change):
    optuna = benchmark("finder").optuna
    options = ("--surfaces", 1, "--held-out", 0, "--noise", 0, "--seeds", 1, "--runs", 3)
    before_codes = {"case": {"part": "built with"}, "kind": "ridge"}
    (tmp_path / "finder.jsonl").write_text(json.dumps(before_codes) + "\n")
    codes = []
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            run_main("finder", *options, "--processes", 1)
            lines = (tmp_path / "finder.jsonl").read_text().splitlines()[1:]
            codes.append([json.loads(line)["case"]["code"] for line in lines])
            if change == "source":
                changed = tmp_path / "gaussian_process.py"
                changed.write_text(Path(gaussian_process.__file__).read_text() + "# more\n")
                patch.setattr(gaussian_process, "__file__", str(changed))
            else:
                patch.setattr(optuna, "__version__", "0.0")
    first, both = codes
    assert len(first) == 5 == len(both) / 2
    assert len({*first}) == 1
    assert len({*both}) == 2


@pytest.mark.parametrize(
    ("are_good", "first", "lasting"),
    [("0010110", 3, 8), ("0010111", 3, 5), ("000", 4, 4), ("111", 1, 1), ("1", 1, 1), ("01", 2, 2)],
)
def test_first_and_lasting_answers_are_told_apart(benchmark, are_good, first, lasting):
    module = benchmark("finder")
    found = [good == "1" for good in are_good]
    assert (module.runs_until_first(found), module.runs_until_lasting(found)) == (first, lasting)


def test_surfaces_are_what_their_names_say(benchmark):
    module = benchmark("surfaces")
    surfaces = module.draw_surfaces(12, 0) + module.draw_held_out(12, 0)
    assert {surface.kind for surface in surfaces} == {*module.FAMILIES, *module.HELD_OUT}
    for surface in surfaces:
        d = len(surface.space.names)
        scores = surface.score(module.grid_points(d))
        assert scores.shape == (4**d,)
        assert surface.wanted == pytest.approx(0.99 * np.nanmax(scores))
        assert surface.kind == "cliff" or np.isfinite(scores).all()
    again = module.draw_surfaces(12, 0)
    points = np.random.default_rng(0).random((5, 3))
    for one, other in zip(surfaces[:12], again, strict=True):
        assert (one.score(points) == other.score(points)).all()
    assert {len(surface.space.names) for surface in surfaces[12:]} == {2, 3, 4}


def real_runs(settings, seeds, others=None):
    """A made-up results.json: BLEU is highest where both weights are half of their largest."""
    trials = [
        {"arm": str(i), "seed": seed, "scores": {"BLEU": 30 - (x - 2) ** 2 - (y - 1) ** 2 + noise}}
        for i, (x, y) in enumerate(settings)
        for seed, noise in zip(range(seeds), (0.3, -0.3, 0.0), strict=False)
    ]
    arms = [{"name": str(i), "set": []} for i in range(len(settings))]
    return {
        "study": {
            "name": "weights",
            "claim": "One is best.",
            "recipe": "telephone",
            "metric": "BLEU",
            "arms": arms,
        },
        "settings": {
            str(i): {
                "objective.consistency_weight": x,
                "objective.rdrop_weight": y,
                "objective.rdrop_passes": (others or {}).get(i, 2),
            }
            for i, (x, y) in enumerate(settings)
        },
        "trials": trials,
    }


FULL = [(x, y) for x in (0.0, 2.0, 4.0) for y in (0.0, 1.0, 2.0)]


def test_real_runs_give_a_surface_through_their_means(benchmark, tmp_path):
    module = benchmark("real_runs")
    path = tmp_path / "results.json"
    # An arm that differs in something else, too, is no setting of the weights.
    path.write_text(json.dumps(real_runs([*FULL, (4.0, 2.0)], 2, others={9: 3})))
    surface = module.real_surface(path)
    assert surface.space.bounds == {"consistency_weight": (0.0, 4.0), "rdrop_weight": (0.0, 2.0)}
    for x, y in FULL:
        at = surface.space.to_unit({"consistency_weight": x, "rdrop_weight": y})
        assert surface.score(at) == pytest.approx(30 - (x - 2) ** 2 - (y - 1) ** 2)
    # Two runs, 0.3 above and below their mean, are of a spread of 0.3 times the root of 2.
    assert surface.noise == pytest.approx(0.3 * 2**0.5)
    drawn = [surface.draw_noise(0.0, np.random.default_rng(seed)) for seed in range(20)]
    assert np.abs(drawn) == pytest.approx(np.full(20, 0.3 * 2**0.5))
    assert len({noise > 0 for noise in drawn}) == 2
    assert surface.score(np.full((2, 3, 2), 0.5)).shape == (2, 3)


@pytest.mark.parametrize(
    ("settings", "seeds", "message"),
    [
        (FULL[:4], 2, r"results\.json: expected 5 distinct settings .*found 4 of consistency_w"),
        ([(x, 1.0) for x in (0.0, 2.0)], 2, "expected 3 distinct settings .*found 2 of consiste"),
        ([(x, x) for x in range(6)], 2, "not in a plane, found 6 of consistency_weight, rdrop_w"),
        ([(1.0, 1.0)], 2, "runs that differ in mt_weight, consistency_weight, rdrop_weight, fo"),
        (FULL, 1, "a setting with several seeds, which shows the noise of a run, found one run"),
    ],
)
def test_real_runs_that_make_no_surface_say_what_is_needed(
    benchmark, tmp_path, capsys, settings, seeds, message
):
    module = benchmark("real_runs")
    path = tmp_path / "results.json"
    path.write_text(json.dumps(real_runs(settings, seeds)))
    with pytest.raises(UserError, match=message):
        module.find_tables([path])
    assert module.find_tables([tmp_path]) == []  # one of several below a folder is left out
    assert "left out:" in capsys.readouterr().err


def test_searches_are_counted_on_real_runs(run_main, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "results.json").write_text(json.dumps(real_runs(FULL, 2)))
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- finder{of} -->\n<!-- end -->\n" for of in ("", " by kind")))
    options = ("--surfaces", 0, "--held-out", 0, "--seeds", 1, "--runs", 6, "--processes", 1)
    rows = run_main("finder", *options, "--real", tmp_path / "study", "--page", page)
    assert {row["surfaces"] for row in rows} == {"real runs"}
    assert len({row["search"] for row in rows}) == 5
    assert page.read_text().count("| spline through weights | 0.424 |") == 1


SHARING = """
import mmap, os
own = bytearray(os.urandom(1)) * 100_000_000
shared = mmap.mmap(-1, 50_000_000)
shared.write(b"x" * 50_000_000)
child = os.fork()
if not child:
    more = bytearray(os.urandom(1)) * 80_000_000
    shared.seek(0), shared.read()
print("ready", flush=True)
os.read(0, 3)
if child:
    os.wait()
"""


def test_a_report_says_nothing_of_where_files_are(benchmark, tmp_path):
    out = tmp_path / "report.json"
    settings = {"model": "/home/me/runs/a/model", "manifest": tmp_path / "dev.jsonl", "out": out}
    benchmark("measuring").write_report(out, settings | {"rounds": 3, "hub": "org/name"}, [])
    told = json.loads(out.read_text(encoding="utf-8"))["settings"]
    manifest = f"{tmp_path.name}/dev.jsonl"
    assert told == {"model": "a/model", "manifest": manifest, "rounds": 3, "hub": "org/name"}


def test_memory_of_children_counts_and_shared_pages_count_once(benchmark):
    measuring = benchmark("measuring")

    def memory_mb(program, num_processes):
        with subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            for _ in range(num_processes):
                assert process.stdout.readline() == "ready\n"
            found = measuring.memory_of_family_mb(process.pid)
            process.communicate("go\n" * num_processes)
        return found

    alone_mb = memory_mb("import os; print('ready', flush=True); os.read(0, 3)", 1)
    assert memory_mb(SHARING, 2) - alone_mb == pytest.approx(230, abs=15)


def test_a_program_is_watched_to_its_end(benchmark):
    watch = benchmark("measuring").run_and_watch
    program = "import os, time; x = bytearray(os.urandom(1)) * 100_000_000; time.sleep(1); print(1)"
    printed, peak_mb = watch([sys.executable, "-c", program])
    assert printed == "1\n"
    assert peak_mb > 100
    with pytest.raises(subprocess.CalledProcessError):
        watch([sys.executable, "-c", "raise SystemExit(3)"])


def test_padding_is_what_a_padded_batch_holds_beside_its_examples(benchmark):
    padding = benchmark("padding")
    batches = [[(3, 2, 4), (1, 2, 1)], [(5, 1, 7)]]
    rows = [3 + 3, 2 + 2, 4 + 4], [5, 1, 7]
    held = [sum(column) for column in zip(*rows, strict=True)]
    assert padding.padding_shares(batches) == pytest.approx([2 / held[0], 0 / held[1], 3 / held[2]])
    shuffled = padding.shuffled(batches, seed=1)
    assert [len(batch) for batch in shuffled] == [2, 1]
    assert sorted(chain(*shuffled)) == sorted(chain(*batches))


def test_padding_is_that_of_the_batches_of_training(benchmark, monkeypatch, tmp_path):
    """The frames of the table are those of the features that the collator makes of audio."""
    padding, growth = benchmark("padding"), benchmark("growth")
    growth.make_corpus(tmp_path, 1)
    content = growth._content(tmp_path, 1)
    content["data"] |= {"augment": {"speeds": [0.9, 1.0, 1.1]}, "num_workers": 0}
    recipe = build_config(Recipe, content, (), place="test")
    cuts = open_cuts(tmp_path / "train.jsonl")
    features = FeatureCache(FilterbankFrontend(), max_bytes=0)
    tokenizer = train_tokenizer(Corpus(cuts, [], None, {}).sentences(10_000), 100)
    collate = Collator(features, tokenizer, recipe.data.augment, recipe.seed)
    stream = speech_stream(cuts, collate, recipe.data, seed=recipe.seed)
    expected = [
        list(
            zip(
                batch.speech_lengths.tolist(),
                (batch.transcript != 1).sum(1).tolist(),
                (batch.target != 1).sum(1).tolist(),
                strict=True,
            )
        )
        for batch in stream.rest_of_epoch()
    ]
    found = padding.epochs(Corpus(cuts, [], None, {}), recipe)["utterances"]
    assert found == expected


def test_padding_by_length_is_less(run_main, tmp_path, benchmark):
    manifest = benchmark("padding").make_manifest(tmp_path, 200)
    small = ["data.max_batch_s=60", "data.max_batch_tokens=400", "data.vocab_size=100"]
    arguments = ["--utterances", 400, "--manifest", manifest, *small]
    rows = run_main("padding", *arguments)
    assert [row["corpus"] for row in rows] == ["made up"] * 4 + [tmp_path.name] * 4
    for ours, shuffled in zip(rows[::2], rows[1::2], strict=True):
        assert ours["number"] == shuffled["number"] > 20
        for name in ("padding of frames", "of source tokens"):
            if ours[name]:
                assert float(ours[name].rstrip("%")) < float(shuffled[name].rstrip("%"))


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


def test_every_benchmark_has_its_place_in_the_page(benchmark):
    all_ = benchmark("all")
    places = [all_.find_place(all_.PAGE, name) for name in all_.COMMANDS]
    assert len(set(places)) == len(all_.COMMANDS)


@pytest.mark.parametrize("text", ["", "<!-- scale -->\n<!-- small -->\n<!-- end -->\n"])
def test_a_missing_place_is_found_before_anything_is_measured(
    benchmark, monkeypatch, tmp_path, text
):
    all_ = benchmark("all")
    page = tmp_path / "page.md"
    page.write_text("<!-- growth -->\n<!-- end -->\n" + text)
    monkeypatch.setattr(all_, "PAGE", page)
    monkeypatch.setattr(all_.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr(sys, "argv", ["all", "--only", "growth", "scale"])
    with pytest.raises(SystemExit, match="no place for scale"):
        all_.main()


def test_every_part_of_a_step_is_found(run_main):
    *parts, last = run_main("step_profile", "tiny")
    assert last["part"] == "all"
    assert last["all terms, bf16"] == pytest.approx(sum(row["all terms, bf16"] for row in parts))
    of_ours = {row["part"]: row["all terms, bf16"] for row in parts}
    assert min(of_ours.values()) > 0
    assert of_ours["other"] < 0.5 * last["all terms, bf16"]


def test_a_profile_of_several_updates_is_their_mean(benchmark, monkeypatch):
    profile, steps = benchmark("step_profile"), benchmark("training_step")
    event = SimpleNamespace(name="aten::mm", cpu_parent=None, self_cpu_time_total=6000.0)
    found = SimpleNamespace(events=lambda: [event])
    monkeypatch.setattr(profile, "profile", lambda **_: nullcontext(found))
    monkeypatch.setattr(profile, "make_steps", lambda size, only: {only: lambda: None})
    for objective, expected_ms in ((steps.ALL_ON, 6.0), (steps.EVERY_SECOND, 3.0)):
        [(_, time_ms)] = profile.time_by_kind("tiny", steps.Contender("one", objective)).items()
        assert time_ms == expected_ms
