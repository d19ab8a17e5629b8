"""The subsampler against a naive convolution, and against published numbers where they lie."""

from pathlib import Path

import numpy as np
import pytest
import torch

from horizon_st.errors import UserError
from horizon_st.model.subsampler import Conv1dSubsampler, SubsamplerConfig

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "objective.npz"


def naive_layer(x, weight, bias):
    """One (conv, stride 2, padding k // 2, GLU) layer, [T, C] -> [T', D], by loops."""
    kernel = weight.shape[2]
    padded = np.pad(x, ((kernel // 2, kernel // 2), (0, 0)))
    rows = [
        np.einsum("kc,dck->d", padded[t : t + kernel], weight) + bias
        for t in range(0, len(x) + 2 * (kernel // 2) - kernel + 1, 2)
    ]
    values, gates = np.split(np.stack(rows), 2, axis=1)
    return values / (1 + np.exp(-gates))


def own_case():
    rng = np.random.default_rng(0)
    shapes = [(8, 3, 5), (10, 4, 3)]
    layers = [(rng.normal(size=s), rng.normal(size=s[0])) for s in shapes]
    x, lengths = rng.normal(size=(3, 15, 3)), np.array([15, 8, 1])
    expected = []
    for row in x:
        for weight, bias in layers:
            row = naive_layer(row, weight, bias)
        expected.append(row)
    return x, lengths, layers, np.stack(expected), np.array([4, 2, 1])


def golden_case():
    arrays = np.load(GOLDEN)
    layers = [
        (arrays[f"sub_w.conv_layers.{i}.weight"], arrays[f"sub_w.conv_layers.{i}.bias"])
        for i in range(2)
    ]
    return (
        *(arrays["sub_in"], arrays["sub_len"], layers),
        *(arrays["sub_out"], arrays["sub_out_len"]),
    )


CASES = {"own": own_case()} | ({"golden": golden_case()} if GOLDEN.is_file() else {})


def make(layers, **options):
    module = Conv1dSubsampler(
        layers[0][0].shape[1],
        layers[0][0].shape[0],
        layers[1][0].shape[0] // 2,
        tuple(weight.shape[2] for weight, _ in layers),
        **options,
    ).double()
    state = {}
    for i, (weight, bias) in enumerate(layers):
        state[f"conv_layers.{i}.weight"] = torch.tensor(weight)
        state[f"conv_layers.{i}.bias"] = torch.tensor(bias)
    module.load_state_dict(state)
    return module


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_output_and_lengths(case):
    x, lengths, layers, expected, expected_lengths = case
    found, found_lengths = make(layers)(torch.tensor(x), torch.tensor(lengths))
    assert np.abs(found.detach().numpy() - expected).max() < 1e-10
    assert found_lengths.tolist() == expected_lengths.tolist()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_masked_output_does_not_depend_on_the_batch(case):
    """The default does: what lies beyond an utterance's end runs into its last frames."""
    x, lengths, layers, _, _ = case
    x, lengths = torch.tensor(x), torch.tensor(lengths)
    for masked in (True, False):
        module = make(layers, mask_padding=masked)
        together, num_frames = module(x, lengths)
        errors = []
        for b in range(len(x)):
            alone, _ = module(x[b : b + 1, : lengths[b]], lengths[b : b + 1])
            errors.append((together[b, : num_frames[b]] - alone[0]).abs().max().item())
            assert not masked or (together[b, num_frames[b] :] == 0).all()
        assert (max(errors) < 1e-12) == masked


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kernel_sizes": [4]}, r"kernel_sizes: expected one or more odd numbers.*found \[4\]"),
        ({"kernel_sizes": []}, r"kernel_sizes: .*\[5, 5\] is usual"),
        ({"mid_channels": 7}, r"mid_channels: expected an even number.*found 7"),
    ],
)
def test_impossible_shapes_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        SubsamplerConfig(**values)
