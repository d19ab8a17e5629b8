"""The objective against an independent reference: loops over tokens in float64, term by term.

Where the published implementations' own numbers lie beside the repository, they are cases too.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from horizon_st.objective.objective import ObjectiveConfig, compute_objective
from horizon_st.objective.terms import cross_entropy, symmetric_kl

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
NAMES = ("speech_1", "speech_2", "text")


@dataclass
class Case:
    name: str
    logits: dict[str, np.ndarray]  # by pass, [B, L, V]
    target: np.ndarray
    pad_id: int
    label_smoothing: float
    mt_weight: float
    consistency_weight: float
    rdrop_weight: float
    values: dict[str, float]
    grads: dict[str, np.ndarray]
    grad_tolerance: float


def softmax(row):
    powers = [math.exp(x - max(row)) for x in row]
    return [x / sum(powers) for x in powers]


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def token_values(rows, label, case):
    """Terms of one target token, from the logits of its three passes."""
    p = {name: softmax(list(rows[name])) for name in NAMES}
    values = {}
    for name in NAMES:
        nll = [-math.log(x) for x in p[name]]
        eps = case["label_smoothing"]
        others = [x for v, x in enumerate(nll) if v != label]
        values[f"nll_{name}"] = nll[label]
        values[f"ce_{name}"] = (1 - eps) * nll[label] + eps * sum(others) / len(others)
    for name, (a, b) in {
        "consistency_speech1_text": ("speech_1", "text"),
        "consistency_speech2_text": ("speech_2", "text"),
        "rdrop_speech": ("speech_1", "speech_2"),
    }.items():
        values[name] = (kl(p[a], p[b]) + kl(p[b], p[a])) / 2
    values["total"] = (
        (values["ce_speech_1"] + values["ce_speech_2"]) / 2
        + case["mt_weight"] * values["ce_text"]
        + case["consistency_weight"]
        * (values["consistency_speech1_text"] + values["consistency_speech2_text"])
        / 2
        + case["rdrop_weight"] * values["rdrop_speech"]
    )
    return values


def own_case(seed):
    """A small random case; gradients by central differences of the total of a token."""
    rng = np.random.default_rng(seed)
    num_rows, length, vocab, pad_id = 2, 4, 6, 1
    knobs = {
        "label_smoothing": 0.1 * seed,
        "mt_weight": 0.5,
        "consistency_weight": 2.0,
        "rdrop_weight": 5.0,
    }
    logits = {name: rng.normal(0, 2, (num_rows, length, vocab)) for name in NAMES}
    target = rng.integers(2, vocab, (num_rows, length))
    target[1, 2:] = pad_id
    places = np.argwhere(target != pad_id)
    totals: dict[str, float] = {}
    grads = {name: np.zeros_like(logits[name]) for name in NAMES}
    for b, i in places:
        rows = {name: logits[name][b, i] for name in NAMES}
        for key, value in token_values(rows, target[b, i], knobs).items():
            totals[key] = totals.get(key, 0.0) + value / len(places)
        for name in NAMES:
            for v in range(vocab):
                ends = []
                for step in (1e-5, -1e-5):
                    moved = {key: row.copy() for key, row in rows.items()}
                    moved[name][v] += step
                    ends.append(token_values(moved, target[b, i], knobs)["total"])
                grads[name][b, i, v] = (ends[0] - ends[1]) / 2e-5 / len(places)
    return Case(
        f"own{seed}",
        logits,
        target,
        pad_id,
        **knobs,
        values=totals,
        grads=grads,
        grad_tolerance=1e-7,
    )


def golden_cases():
    if not GOLDEN.is_dir():
        return []
    arrays = np.load(GOLDEN / "objective.npz")
    return [
        Case(
            f"golden{i}",
            {name: arrays[f"case{i}.logits_{name}"].astype(np.float64) for name in NAMES},
            arrays[f"case{i}.target"],
            entry["pad_id"],
            entry["label_smoothing"],
            entry["alpha_t"],
            entry["alpha_cr"],
            entry["alpha_rd"],
            entry,
            {name: arrays[f"case{i}.grad_{name}"].astype(np.float64) for name in NAMES},
            grad_tolerance=1e-5,
        )
        for i, entry in enumerate(json.loads((GOLDEN / "objective.json").read_text()))
    ]


CASES = [own_case(0), own_case(1), own_case(2), *golden_cases()]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
@pytest.mark.parametrize("name", NAMES)
def test_cross_entropy(case, name):
    logits, target = torch.tensor(case.logits[name]), torch.tensor(case.target)
    total, count = cross_entropy(
        logits, target, label_smoothing=case.label_smoothing, ignore_index=case.pad_id
    )
    assert count == (case.target != case.pad_id).sum()
    assert float(total / count) == pytest.approx(case.values[f"ce_{name}"], rel=1e-6)
    total, count = cross_entropy(logits, target, ignore_index=case.pad_id)
    assert float(total / count) == pytest.approx(case.values[f"nll_{name}"], rel=1e-6)


@each_case
@pytest.mark.parametrize(
    ("p", "q", "name"),
    [
        ("speech_1", "text", "consistency_speech1_text"),
        ("speech_2", "text", "consistency_speech2_text"),
        ("speech_1", "speech_2", "rdrop_speech"),
    ],
)
def test_symmetric_kl(case, p, q, name):
    is_target = torch.tensor(case.target != case.pad_id)
    total, count = symmetric_kl(
        torch.tensor(case.logits[p]), torch.tensor(case.logits[q]), is_target
    )
    assert float(total / count) == pytest.approx(case.values[name], rel=1e-6)


@each_case
def test_whole_objective_and_its_gradients(case):
    config = ObjectiveConfig(
        mt_weight=case.mt_weight,
        consistency_weight=case.consistency_weight,
        rdrop_weight=case.rdrop_weight,
        label_smoothing=case.label_smoothing,
    )
    logits = {name: torch.tensor(case.logits[name], requires_grad=True) for name in NAMES}
    unused = dict.fromkeys(("decoder_states", "encoder_states", "encoder_mask"))
    outputs = {name: SimpleNamespace(logits=x, **unused) for name, x in logits.items()}
    target = torch.tensor(case.target)
    report = compute_objective(
        config,
        [outputs["speech_1"], outputs["speech_2"]],
        [outputs["text"]],
        target,
        torch.full((len(target), 1), case.pad_id + 1),
        pad_id=case.pad_id,
    )
    total = report.total((target != case.pad_id).sum())
    assert total.item() == pytest.approx(case.values["total"], rel=1e-6)
    total.backward()
    for name in NAMES:
        expected = torch.tensor(case.grads[name])
        error = (logits[name].grad - expected).abs().max() / expected.abs().max()
        assert error < case.grad_tolerance
        assert (logits[name].grad[target == case.pad_id] == 0).all()


def test_hard_numbers():
    """Two symbols with probabilities 3/4, 1/4 against 1/4, 3/4, worked out by hand."""
    p = torch.tensor([[[math.log(3.0), 0.0]]], dtype=torch.float64)
    q = torch.tensor([[[0.0, math.log(3.0)]]], dtype=torch.float64)
    total, count = symmetric_kl(p, q, torch.tensor([[True]]))
    assert (float(total), int(count)) == (pytest.approx(0.5 * math.log(3.0)), 1)
    total, _ = cross_entropy(p, torch.tensor([[0]]), label_smoothing=0.2, ignore_index=-1)
    assert float(total) == pytest.approx(0.8 * math.log(4 / 3) + 0.2 * math.log(4.0))
