"""What the benchmark of decoding compares gives the same translations."""

import torch

from horizon_st.decoding.trained import load_trained_model


def test_decoding_finds_what_generate_finds(run_main, model_folder, manifest):
    model = load_trained_model(model_folder).model
    with torch.no_grad():  # random weights hardly ever end
        model.get_output_embeddings().weight[model.config.eos_token_id] *= 6
    model.save_pretrained(model_folder)
    plain, *own = run_main("decoding", model_folder, manifest, "--rounds", 1, "--threads", 1)
    assert plain["times faster"] == 1.0
    assert len(own) == 2
    assert all(row["translations that differ"] == 0 for row in own)
