"""What the benchmark of decoding compares gives the same translations."""

import torch

from horizon_st.data.shar import open_cuts
from horizon_st.decoding.trained import load_trained_model


def test_decoding_finds_what_generate_finds(run_main, model_folder, manifest):
    model = load_trained_model(model_folder).model
    with torch.no_grad():  # random weights hardly ever end
        model.get_output_embeddings().weight[model.config.eos_token_id] *= 6
    model.save_pretrained(model_folder)
    rows = run_main("decoding", model_folder, manifest, "--rounds", 1, "--threads", 1)
    assert rows[0]["times faster"] == 1.0
    assert [row["decoding"] for row in rows] == [
        "`generate()`, batches of 8 in order",
        "`generate()`, batches of 16 by length",
        "`evaluate`, batches of 16 by length",
        "`generate()`, batches of 64 by length",
        "`evaluate`, batches of 64 by length",
        "`evaluate --precision bf16`, batches of 64 by length",
    ]
    *exact, _ = rows
    assert all(row["translations that differ"] == 0 for row in exact)
    assert len({row["BLEU"] for row in exact}) == 1


def test_equal_batches_are_compared(benchmark, model_folder, manifest, monkeypatch):
    module = benchmark("decoding")
    monkeypatch.setattr(module, "REFERENCE_BATCH_SIZE", 3)
    monkeypatch.setattr(module, "BATCH_SIZES", (2, 5))
    trained = load_trained_model(model_folder)
    batches = []
    encode = trained.model.encode_speech

    def watch(speech, speech_lengths):
        batches[-1].append(tuple(speech_lengths.tolist()))
        return encode(speech, speech_lengths)

    monkeypatch.setattr(trained.model, "encode_speech", watch)
    for decode in module.make_contenders(trained, list(open_cuts(manifest))).values():
        batches.append([])
        decode()
    in_order, their_twos, our_twos, their_fives, our_fives, in_bf16 = batches
    assert list(map(len, in_order)) == [3, 3, 1]
    assert list(map(len, our_twos)) == [2, 2, 2, 1]
    assert list(map(len, our_fives)) == [5, 2]
    assert (their_twos, their_fives, in_bf16) == (our_twos, our_fives, our_fives)
    by_length = [length for lengths in our_fives for length in lengths]
    assert by_length == sorted(by_length, reverse=True)
    assert sorted(by_length) == sorted(length for lengths in in_order for length in lengths)
