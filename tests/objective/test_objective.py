"""Which terms enter the objective, with which weights, passes, taps and errors."""

import dataclasses
import itertools
from dataclasses import dataclass, replace

import pytest
import torch

from horizon_st.errors import UserError
from horizon_st.objective import token_terms
from horizon_st.objective.adaptive import AdaptiveConfig
from horizon_st.objective.objective import (
    LossReport,
    ObjectiveConfig,
    compute_objective,
    external_objective,
    validation_loss,
)
from horizon_st.objective.passes import CtcInput, Passes, plan_external_passes, plan_passes
from horizon_st.objective.terms import (
    cross_entropy,
    jensen_shannon,
    kl_divergence,
    mean_squared_error,
    pooled_mean_squared_error,
    renyi,
    symmetric_kl,
)

PAD = 1
TARGET = torch.tensor([[5, 6, 7, 2], [4, 2, PAD, PAD], [3, 4, 2, PAD]])
TRANSCRIPT = torch.tensor([[8, 2, PAD], [7, 6, 2], [PAD, PAD, PAD]])
IS_TARGET = TARGET != PAD
IS_TEXT_TARGET = IS_TARGET & torch.tensor([[True], [True], [False]])
TEXT_TARGET = TARGET.masked_fill(~IS_TEXT_TARGET, PAD)


@dataclass
class Output:
    logits: torch.Tensor
    decoder_states: torch.Tensor
    encoder_states: torch.Tensor
    encoder_mask: torch.Tensor
    ctc_logits: torch.Tensor | None
    ctc_mask: torch.Tensor | None


def output(seed, num_states, num_real, *, ctc=False):
    g = torch.Generator().manual_seed(seed)
    return Output(
        torch.randn(3, 4, 9, generator=g).double().requires_grad_(),
        torch.randn(3, 4, 5, generator=g).double().requires_grad_(),
        torch.randn(3, num_states, 5, generator=g).double().requires_grad_(),
        torch.arange(num_states)[None] < torch.tensor(num_real)[:, None],
        torch.randn(3, 8, 9, generator=g).double().requires_grad_() if ctc else None,
        torch.arange(8)[None] < torch.tensor([8, 7, 7])[:, None] if ctc else None,
    )


def speech(num=1, *, ctc=False):
    return [output(10 + i, 6, [6, 5, 4], ctc=ctc) for i in range(num)]


def text(num=1):
    return [output(20 + i, 3, [2, 3, 1]) for i in range(num)]


def compute(config, speech, text, ctc_targets=TRANSCRIPT, ctc_blank=PAD):
    scores = [(x.ctc_logits, x.ctc_mask) for x in speech if x.ctc_logits is not None]
    return compute_objective(
        config,
        speech,
        text,
        TARGET,
        TRANSCRIPT,
        pad_id=PAD,
        ctc=CtcInput(scores, ctc_targets, ctc_blank) if scores else None,
    )


def term(report, name):
    total, count = report.terms[name]
    return total.item(), int(count)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({}, Passes(1, 1)),
        ({"mt_weight": 0.0}, Passes(1, 0)),
        ({"mt_weight": 0.0, "consistency_weight": 1.0}, Passes(1, 1)),
        ({"rdrop_weight": 1.0}, Passes(2, 1)),
        ({"rdrop_weight": 1.0, "rdrop_from": "shared_encoder"}, Passes(2, 1, True)),
        ({"rdrop_weight": 1.0, "rdrop_passes": 3}, Passes(3, 1)),
        ({"mt_weight": 0.0, "rdrop_weight": 1.0}, Passes(2, 0)),
        ({"mt_rdrop_weight": 1.0}, Passes(1, 2)),
        ({"ctc_weight": 1.0, "mt_weight": 0.0}, Passes(1, 0, ctc=True)),
        ({"st_weight": 0.0, "consistency_weight": 1.0}, Passes(1, 1)),
    ],
)
def test_no_pass_without_a_weight(weights, expected):
    config = ObjectiveConfig(**weights)
    assert plan_passes(config) == expected
    report = compute(config, speech(expected.speech, ctc=True), text(expected.text))
    assert set(report.terms) == {
        *(["ce_speech"] if config.st_weight else []),
        *(["ce_text"] if config.mt_weight else []),
        *(["consistency"] if config.consistency_weight else []),
        *(["rdrop"] if config.rdrop_weight else []),
        *(["mt_rdrop"] if config.mt_rdrop_weight else []),
        *(["ctc"] if config.ctc_weight else []),
    }


def test_zero_shot_is_the_objective_without_the_speech_cross_entropy():
    weights = {"mt_weight": 0.7, "consistency_weight": 3.0, "ctc_weight": 0.5, "rdrop_weight": 2.0}
    half = compute(ObjectiveConfig(**weights, st_weight=0.5), speech(2, ctc=True), text())
    none = compute(ObjectiveConfig(**weights, st_weight=0.0), speech(2, ctc=True), text())
    assert half.terms.keys() - none.terms.keys() == {"ce_speech"}
    cross_entropies = [
        cross_entropy(x.logits, TARGET, label_smoothing=0.1, ignore_index=PAD)[0] for x in speech(2)
    ]
    difference = half.total(9) - none.total(9)
    assert torch.allclose(difference, 0.5 * sum(cross_entropies) / 2 / 9)
    s, t = speech(), text()
    only = ObjectiveConfig(st_weight=0.0, mt_weight=0.0, consistency_weight=1.0)
    compute(only, s, t).total(9).backward()
    assert s[0].logits.grad[IS_TEXT_TARGET].any()
    assert not s[0].logits.grad[2].any()  # without a transcript there is nothing to agree with


def test_external_pairs_are_weighted_and_skipped_at_zero():
    assert plan_external_passes(ObjectiveConfig(mt_weight=0.0)) == Passes(0, 1)
    assert plan_external_passes(ObjectiveConfig(external_mt_weight=0.0)) == Passes(0, 0)
    config = ObjectiveConfig(external_mt_weight=0.3, consistency_weight=1.0, ctc_weight=1.0)
    passes = text()
    report = external_objective(config, passes, TARGET, pad_id=PAD)
    expected = cross_entropy(passes[0].logits, TARGET, label_smoothing=0.1, ignore_index=PAD)
    assert set(report.terms) == {"ce_pairs"}
    assert torch.allclose(report.terms["ce_pairs"][0], expected[0])
    assert torch.allclose(report.total(7), 0.3 * expected[0] / 7)


def test_external_pairs_with_rdrop():
    config = ObjectiveConfig(external_mt_weight=0.3, mt_rdrop_weight=2.0)
    assert plan_external_passes(config) == Passes(0, 2)
    first, second = text(2)
    report = external_objective(config, [first, second], TARGET, pad_id=PAD)
    ce = [
        cross_entropy(x.logits, TARGET, label_smoothing=0.1, ignore_index=PAD)[0]
        for x in (first, second)
    ]
    distance, count = symmetric_kl(first.logits, second.logits, TARGET != PAD)
    assert torch.allclose(report.terms["pairs_rdrop"][0], distance)
    assert {name: int(n) for name, (_, n) in report.terms.items()} == {
        "ce_pairs": int(count),
        "pairs_rdrop": int(count),
    }
    assert torch.allclose(report.total(7), 0.3 * (sum(ce) / 2 + 2 * distance) / 7)


def test_means_over_passes_and_rows_without_transcript():
    config = ObjectiveConfig(
        consistency_weight=1.0, rdrop_weight=1.0, mt_rdrop_weight=1.0, label_smoothing=0.2
    )
    s, t = speech(2), text(2)
    report = compute(config, s, t)

    def mean(values):
        return sum(v[0].item() for v in values) / len(values)

    def ce(x, target):
        return cross_entropy(x.logits, target, label_smoothing=0.2, ignore_index=PAD)

    assert term(report, "ce_speech") == (pytest.approx(mean([ce(x, TARGET) for x in s])), 9)
    assert term(report, "ce_text") == (pytest.approx(mean([ce(x, TEXT_TARGET) for x in t])), 6)
    pairs = [symmetric_kl(a.logits, b.logits, IS_TEXT_TARGET) for a in s for b in t]
    assert term(report, "consistency") == (pytest.approx(mean(pairs)), 6)
    rdrop = symmetric_kl(s[0].logits, s[1].logits, IS_TARGET)[0].item()
    assert term(report, "rdrop") == (pytest.approx(rdrop), 9)
    mt_rdrop = symmetric_kl(t[0].logits, t[1].logits, IS_TEXT_TARGET)[0].item()
    assert term(report, "mt_rdrop") == (pytest.approx(mt_rdrop), 6)
    report.total(1).backward()
    assert (t[0].logits.grad[2] == 0).all()
    assert (s[0].logits.grad[2, :3] != 0).any()


def test_rdrop_of_three_passes_is_the_mean_over_their_pairs():
    config = ObjectiveConfig(mt_weight=0.0, rdrop_weight=1.0, rdrop_passes=3)
    passes = speech(3)
    report = compute(config, passes, [])
    pairs = [
        symmetric_kl(passes[i].logits, passes[j].logits, IS_TARGET)[0].item()
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert term(report, "rdrop") == (pytest.approx(sum(pairs) / 3), 9)
    means = [cross_entropy(x.logits, TARGET, label_smoothing=0.1, ignore_index=PAD) for x in passes]
    expected = sum(total.item() for total, _ in means) / 3
    assert term(report, "ce_speech") == (pytest.approx(expected), 9)


WEIGHED = {"consistency_weight": 2.0, "rdrop_weight": 4.0, "mt_rdrop_weight": 1.0}


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("warmup", {0: 0.25, 1: 0.5, 3: 1.0, 9: 1.0}),
        ("cosine", {0: (1 + 0.5**0.5) / 2, 1: 0.5, 3: 0.0, 9: 0.0}),
    ],
)
def test_scheduled_weights_follow_their_course(schedule, shares):
    config = ObjectiveConfig(
        **WEIGHED, tap="logits", rdrop_passes=3, schedule=schedule, schedule_steps=4
    )
    for update, share in shares.items():
        now = config.of_update(update)
        found = {name: getattr(now, name) for name in WEIGHED}
        assert found == pytest.approx({name: share * weight for name, weight in WEIGHED.items()})
        assert now.mt_weight == config.mt_weight
        assert plan_passes(now) == (Passes(3, 2) if share > 0 else Passes(1, 1))


def test_a_schedule_and_rdrop_now_and_then_go_together():
    config = ObjectiveConfig(
        rdrop_weight=4.0, rdrop_every_steps=2, schedule="warmup", schedule_steps=4
    )
    weights = [config.of_update(update).rdrop_weight for update in range(6)]
    assert weights == pytest.approx([0.0, 4.0, 0.0, 8.0, 0.0, 8.0])


FORMS = [
    {"consistency_weight": c, "rdrop_weight": r} | more
    for c, r in itertools.product((0.0, 2.0), repeat=2)
    for more in (
        {},
        {"mt_rdrop_weight": 1.0},
        {"token_gap_weight": 0.05},
        {"rdrop_from": "shared_encoder", "rdrop_passes": 3},
        {"rdrop_every_steps": 2},
        {"tap": "encoder"},
        {"divergence": "renyi", "renyi_order": 2.0},
        {"rdrop_every_steps": 2, "adaptive": AdaptiveConfig(every_steps=10)},
    )
]


@pytest.mark.parametrize("schedule", ["constant", "loss_ratio", "warmup", "cosine"])
@pytest.mark.parametrize("mt_weight", [0.0, 0.5])
@pytest.mark.parametrize("st_weight", [0.0, 1.0])
def test_what_is_accepted_at_the_start_lasts_to_the_end(schedule, mt_weight, st_weight):
    """Every update has the passes of its weights above 0, and a finite total, even of CTC off."""
    steps = 3 if schedule in ("warmup", "cosine") else 0
    num_accepted = 0
    for form in FORMS:
        values = form | {"st_weight": st_weight, "mt_weight": mt_weight}
        try:
            config = ObjectiveConfig(**values, schedule=schedule, schedule_steps=steps)
        except UserError:
            continue
        num_accepted += 1
        for update in (0, 2, 3):
            now = config.of_update(update).weighted({"ctc_weight": 0.0})
            assert now.of_update(update) == now
            passes = plan_passes(now)
            has_text = now.mt_weight > 0 or now.consistency_weight > 0
            assert passes.text == (1 + (now.mt_rdrop_weight > 0) if has_text else 0)
            report = compute(now, speech(passes.speech), text(passes.text))
            assert torch.isfinite(report.total(9))
            assert ("rdrop" in report.terms) == (now.rdrop_weight > 0) == (passes.speech > 1)
            assert ("consistency" in report.terms) == (now.consistency_weight > 0)
    assert num_accepted >= 3 or (st_weight == 0 and schedule in ("cosine", "loss_ratio"))


def test_without_a_text_pass_tokens_count_their_base():
    """As after a cosine, when consistency alone needed it."""
    config = ObjectiveConfig(
        mt_weight=0.0,
        consistency_weight=1.0,
        token_base_weight=0.5,
        token_gap_weight=0.05,
        schedule="cosine",
        schedule_steps=3,
    )
    last = config.of_update(2)
    plain = term(compute(ObjectiveConfig(mt_weight=0.0), speech(), []), "ce_speech")
    assert plan_passes(last) == Passes(1, 0)
    assert term(compute(last, speech(), []), "ce_speech") == (pytest.approx(plain[0] / 2), 9)


def test_terms_brought_to_the_size_of_the_cross_entropy():
    """In the total each has its weight times CE_s; its gradient is scaled as its value is."""
    config = ObjectiveConfig(mt_weight=0.0, **WEIGHED, schedule="loss_ratio")
    plain = replace(config, schedule="constant")
    s, t = speech(2), text(2)
    report = compute(config, s, t)
    sums = {name: term(report, name)[0] / term(report, name)[1] for name in report.terms}
    assert report.terms.keys() == compute(plain, s, t).terms.keys()
    weights = {name: float(weight) for name, weight in report.weights.items()}
    assert weights["ce_speech"] == 1.0
    for name, weight in (("consistency", 2.0), ("rdrop", 4.0), ("mt_rdrop", 1.0)):
        assert weights[name] * sums[name] == pytest.approx(weight * sums["ce_speech"])
    report.total(1).backward()
    scaled = s[1].logits.grad.clone()
    s[1].logits.grad = None
    fixed = LossReport(compute(plain, s, t).terms, weights)
    fixed.total(1).backward()
    assert torch.allclose(scaled, s[1].logits.grad)
    assert config.of_update(0) is config


@pytest.mark.parametrize(
    ("tap", "field"),
    [("softmax", "logits"), ("logits", "logits"), ("decoder", "decoder_states")],
)
def test_tokens_weigh_more_where_the_modalities_differ(tap, field):
    """Both cross-entropies and consistency; R-drop and the numbers of tokens stay."""
    config = ObjectiveConfig(
        consistency_weight=1.0,
        rdrop_weight=1.0,
        tap=tap,
        token_base_weight=0.7,
        token_gap_weight=0.5,
    )
    s, t = speech(2), text()
    cosine = torch.nn.functional.cosine_similarity(
        s[0].decoder_states, t[0].decoder_states, dim=-1
    ).detach()
    weight = torch.where(IS_TEXT_TARGET, 0.7 + 0.5 * (1 - cosine), 0.7)
    found = compute(config, s, t)
    plain = compute(replace(config, token_base_weight=1.0, token_gap_weight=0.0), s, t)

    def nll(output, target):
        log_p = output.logits.log_softmax(-1)
        picked = log_p.gather(-1, target[..., None]).squeeze(-1)
        others = 0.1 / (log_p.shape[-1] - 1)
        smoothed = -(1 - 0.1 - others) * picked - others * log_p.sum(-1)
        return (smoothed * weight)[target != PAD].sum().item()

    assert term(found, "ce_speech")[0] == pytest.approx(sum(nll(x, TARGET) for x in s) / 2)
    assert term(found, "ce_text")[0] == pytest.approx(nll(t[0], TEXT_TARGET))
    distances = []
    for x in s:
        a, b = getattr(x, field), getattr(t[0], field)
        if tap == "softmax":
            p, q = a.softmax(-1), b.softmax(-1)
            distance = ((p - q) * (p.log() - q.log())).sum(-1) / 2
        else:
            distance = (a - b).square().mean(-1)
        distances.append((distance * weight)[IS_TEXT_TARGET].sum().item())
    assert term(found, "consistency")[0] == pytest.approx(sum(distances) / 2, rel=1e-6)
    assert term(found, "rdrop") == term(plain, "rdrop")
    for name in found.terms:
        assert term(found, name)[1] == term(plain, name)[1]


def test_a_base_weight_alone_scales_the_terms():
    config = ObjectiveConfig(mt_weight=0.0, token_base_weight=0.5)
    plain = term(compute(ObjectiveConfig(mt_weight=0.0), speech(), []), "ce_speech")
    assert term(compute(config, speech(), []), "ce_speech") == (pytest.approx(plain[0] / 2), 9)


def test_words_of_the_reference_get_rarer_as_published():
    config = ObjectiveConfig(scheduled_sampling=15.0)
    assert config.gold_share(0) == pytest.approx(0.93, abs=0.005)
    assert config.gold_share(19) == pytest.approx(0.80, abs=0.005)
    assert ObjectiveConfig().gold_share(99) == 1.0
    for k, epoch in ((1e-3, 0), (1.0, 720), (5e-324, 0)):
        assert 0 <= ObjectiveConfig(scheduled_sampling=k).gold_share(epoch) < 1e-300


def test_equal_passes_have_no_size_to_be_brought_to():
    config = ObjectiveConfig(mt_weight=0.0, rdrop_weight=1.0, schedule="loss_ratio")
    [one] = speech()
    total = compute(config, [one, one], []).total(1)
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(one.logits.grad).all()


def test_total_is_the_weighted_sum_per_target_token():
    report = LossReport(
        {"a": (torch.tensor(3.0), torch.tensor(2)), "b": (torch.tensor(5.0), torch.tensor(1))},
        {"a": 1.0, "b": 0.5},
    )
    assert report.total(2).item() == pytest.approx((3 + 0.5 * 5) / 2)
    assert report.sums() == {"a": 3.0, "b": 5.0}


def distance_of(tap, divergence, s, t):
    if tap == "encoder":
        return pooled_mean_squared_error(
            s.encoder_states, s.encoder_mask, t.encoder_states, t.encoder_mask, IS_TEXT_TARGET
        )
    if tap == "decoder":
        return mean_squared_error(s.decoder_states, t.decoder_states, IS_TEXT_TARGET)
    if tap == "logits":
        return mean_squared_error(s.logits, t.logits, IS_TEXT_TARGET)
    if divergence == "kl_text_speech":
        return kl_divergence(t.logits, s.logits, IS_TEXT_TARGET)
    if divergence == "renyi":
        return renyi(s.logits, t.logits, IS_TEXT_TARGET, order=0.5)
    by_name = {
        "symmetric_kl": symmetric_kl,
        "jensen_shannon": jensen_shannon,
        "kl_speech_text": kl_divergence,
    }
    return by_name[divergence](s.logits, t.logits, IS_TEXT_TARGET)


@pytest.mark.parametrize("stop_gradient", ["none", "speech", "text"])
@pytest.mark.parametrize(
    ("tap", "divergence", "field"),
    [
        ("encoder", "symmetric_kl", "encoder_states"),
        ("decoder", "symmetric_kl", "decoder_states"),
        ("logits", "symmetric_kl", "logits"),
        ("softmax", "symmetric_kl", "logits"),
        ("softmax", "jensen_shannon", "logits"),
        ("softmax", "kl_speech_text", "logits"),
        ("softmax", "kl_text_speech", "logits"),
        ("softmax", "renyi", "logits"),
    ],
)
def test_taps_divergences_and_stopped_gradients(tap, divergence, field, stop_gradient):
    config = ObjectiveConfig(
        mt_weight=0.0,
        consistency_weight=1.0,
        tap=tap,
        divergence=divergence,
        stop_gradient=stop_gradient,
    )
    s, t = speech(), text()
    found, count = compute(config, s, t).terms["consistency"]
    assert torch.allclose(found, distance_of(tap, divergence, s[0], t[0])[0])
    assert count == 6
    found.backward()
    for side, passes in (("speech", s), ("text", t)):
        grad = getattr(passes[0], field).grad
        reached = grad is not None and bool((grad != 0).any())
        assert reached == (stop_gradient != side)


def test_ctc_is_the_mean_over_speech_passes():
    config = ObjectiveConfig(mt_weight=0.0, ctc_weight=0.3, rdrop_weight=1.0)
    s = speech(2, ctc=True)
    both = compute(config, s, []).terms["ctc"]
    single = [compute(dataclasses.replace(config, rdrop_weight=0.0), [x], []) for x in s]
    assert torch.allclose(both[0], sum(r.terms["ctc"][0] for r in single) / 2)
    assert both[1] == 2
    s[1].ctc_logits = s[1].ctc_mask = None
    shared = compute(config, s, []).terms["ctc"]
    assert torch.equal(shared[0], single[0].terms["ctc"][0])
    assert shared[1] == 2


def test_ctc_aligns_what_it_is_given_with_its_own_blank():
    [s] = speech(1, ctc=True)
    targets = torch.tensor([[4, 4, 1, 0], [2, 1, 0, 0], [5, 6, 7, 1]])
    config = ObjectiveConfig(mt_weight=0.0, ctc_weight=0.3)
    found, count = compute(config, [s], [], targets, 0).terms["ctc"]
    expected = torch.nn.functional.ctc_loss(
        s.ctc_logits.log_softmax(-1).transpose(0, 1),
        torch.tensor([4, 4, 2, 5, 6, 7]),
        torch.tensor([8, 7, 7]),
        torch.tensor([2, 1, 3]),
        blank=0,
        reduction="sum",
    )
    assert torch.allclose(found, expected)
    assert count == 3


def test_slices_of_tokens_change_nothing(monkeypatch):
    config = ObjectiveConfig(consistency_weight=2.0, rdrop_weight=5.0, mt_rdrop_weight=1.0)
    s, t = speech(2), text(2)
    whole = compute(config, s, t)
    grads = torch.autograd.grad(whole.total(1), [x.logits for x in (*s, *t)])
    monkeypatch.setitem(token_terms.SLICE_ELEMENTS, "cpu", 2 * 9)
    sliced = compute(config, s, t)
    assert sliced.sums().keys() == whole.sums().keys()
    for name, value in sliced.sums().items():
        assert float(value) == pytest.approx(float(whole.sums()[name]))
        assert not value.requires_grad
    again = torch.autograd.grad(sliced.total(1), [x.logits for x in (*s, *t)])
    assert all(torch.allclose(a, b) for a, b in zip(grads, again, strict=True))


def test_micro_batches_add_up_to_the_batch():
    config = ObjectiveConfig(consistency_weight=2.0, rdrop_weight=5.0, tap="encoder")
    s, t = speech(2), text(1)
    whole = compute(config, s, t).total(9)

    def row(x, b):
        values = [getattr(x, f.name) for f in dataclasses.fields(x)]
        return Output(*(None if v is None else v[b : b + 1] for v in values))

    parts = [
        compute_objective(
            config,
            [row(x, b) for x in s],
            [row(x, b) for x in t],
            TARGET[b : b + 1],
            TRANSCRIPT[b : b + 1],
            pad_id=PAD,
        ).total(9)
        for b in range(3)
    ]
    assert torch.allclose(whole, torch.stack(parts).sum())


def test_validation_loss_is_plain_cross_entropy():
    s = speech()[0]
    total, count = validation_loss(s, TARGET, pad_id=PAD)
    nll = -torch.log_softmax(s.logits, -1).gather(-1, TARGET[..., None]).squeeze(-1)
    assert torch.allclose(total, nll[IS_TARGET].sum())
    assert count == 9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mt_weight": -0.1}, r"objective\.mt_weight: expected a finite weight.*found -0\.1"),
        ({"rdrop_weight": float("nan")}, r"objective\.rdrop_weight: .*found nan"),
        ({"ctc_weight": float("inf")}, r"objective\.ctc_weight: .*found inf"),
        (
            {"st_weight": 0.0},
            r"objective\.st_weight: expected above 0 when consistency_weight",
        ),
        (
            {"st_weight": 0.0, "consistency_weight": 1.0, "schedule": "loss_ratio"},
            r"objective\.schedule: expected constant or warmup with st_weight: 0.*found loss_ratio",
        ),
        ({"label_smoothing": 1.0}, r"objective\.label_smoothing: .*below 1, found 1\.0"),
        ({"tap": "decodr"}, r"objective\.tap: .*found decodr\. Did you mean decoder\?"),
        ({"divergence": "jsd"}, r"objective\.divergence: expected one of symmetric_kl"),
        (
            {"consistency_weight": 1.0, "divergence": "renyi", "renyi_order": 1.0},
            r"objective\.renyi_order: expected a number above 0 other than 1",
        ),
        (
            {"consistency_weight": 1.0, "renyi_order": 2.0},
            r"objective\.renyi_order: expected nothing, .*: divergence is not renyi",
        ),
        ({"rdrop_weight": 1.0, "rdrop_passes": 1}, r"objective\.rdrop_passes: expected at least 2"),
        ({"rdrop_passes": 3}, r"objective\.rdrop_passes: expected nothing, .*rdrop_weight is 0"),
        ({"schedule": "warmup", "schedule_steps": 2}, r"objective\.schedule: .*no weight of"),
        (
            {"rdrop_weight": 1.0, "schedule": "cosine"},
            r"objective\.schedule_steps: expected at least 1 with schedule: cosine",
        ),
        (
            {"rdrop_weight": 1.0, "schedule_steps": 5},
            r"objective\.schedule_steps: expected nothing, .*: schedule is constant",
        ),
        ({"scheduled_sampling": -1.0}, r"objective\.scheduled_sampling: .*at least 0, found -1"),
        (
            {"mt_weight": 0.0, "token_gap_weight": 1.0},
            r"objective\.token_gap_weight: .*Set mt_weight or consistency_weight above 0",
        ),
        ({"token_base_weight": -1.0}, r"objective\.token_base_weight: expected a finite weight"),
        ({"stop_gradient": "txt"}, r"objective\.stop_gradient: .*Did you mean text\?"),
        (
            {"tap": "encoder", "divergence": "jensen_shannon"},
            r"objective\.divergence: .*tap: encoder.*Set tap: softmax",
        ),
    ],
)
def test_configurations_that_mean_nothing_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        ObjectiveConfig(**values)
