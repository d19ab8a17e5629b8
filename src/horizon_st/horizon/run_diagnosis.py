"""Which side of the horizon a single run lies on, as far as its own curves tell.

Only other runs can tell whether another setting scores better (`diagnosis.py`); what one run shows
is whether it learnt its training set by heart, or has not learnt it yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from horizon_st.horizon.diagnosis import Diagnosis

_RISEN = 0.14
"""Dev loss this far above its lowest, as a share of it: learnt by heart. On the embedded corpus the
runs of arms that R-drop improves by 5 BLEU ended 14 to 18 % above it, those with R-drop 8 to 13 %.
"""
_STILL_LOWEST = 0.01
_NOT_LEARNT = 0.25
"""What training cross-entropy keeps above its floor, as a share of dev loss."""
_FIRST_RDROP = 3.0


def diagnose_run(record: Mapping[str, Any]) -> Diagnosis | None:
    """The side of a run, from its `record.json`; None where its curves cannot tell.

    They cannot without stage ST, with fewer than three validations, without a cross-entropy of the
    speech pass, or where tokens are weighed.
    """
    stage = next((s for s in record["stages"] if s["name"] == "st" and s["train_history"]), None)
    objective = record["recipe"]["objective"]
    weighs_tokens = objective["token_base_weight"] != 1 or objective["token_gap_weight"] > 0
    if stage is None or len(stage["dev_history"]) < 3 or weighs_tokens:
        return None
    train = stage["train_history"][-1]
    if "ce_speech" not in train:
        return None
    smoothing = objective["label_smoothing"]
    floor = smoothed_floor(smoothing, record["vocab_size"])
    losses = [(entry["loss"], int(entry["step"])) for entry in stage["dev_history"]]
    (lowest, at_step), (last, _) = min(losses), losses[-1]
    rise, left = last / lowest - 1, train["ce_speech"] - floor
    seen = (
        f"Dev loss ended at {last:.2f}, {rise:.0%} above its lowest (update {at_step:,}); training "
        f"cross-entropy at {train['ce_speech']:.2f}, {left:.2f} above the least that label "
        f"smoothing of {smoothing:g} allows."
    )
    terms = [
        f"{name} {train[key]:.3f}"
        for key, name in (("rdrop", "R-drop"), ("consistency", "consistency"))
        if key in train
    ]
    if terms:
        seen += f" Per token: {', '.join(terms)}."
    if rise > _RISEN:
        why = "The model goes on learning the training set by heart."
        return Diagnosis("under-regularised", (seen, why), _stronger(objective))
    if rise <= _STILL_LOWEST and left > _NOT_LEARNT * last:
        # Runs of the best weights look like this, too, when they are short.
        why = "The training set is not learnt yet: train longer."
        if objective["rdrop_weight"] > 0 or objective["consistency_weight"] > 0:
            why += " If dev loss then stays where it is, the regularisers hold the model back."
        return Diagnosis("undecided", (seen, why), {})
    why = "Nothing in these curves speaks against the setting; other runs can."
    return Diagnosis("undecided", (seen, why), {})


def smoothed_floor(smoothing: float, vocab_size: int) -> float:
    """The least that a label-smoothed cross-entropy can be: the entropy of its targets, in nats."""
    if smoothing == 0:
        return 0.0
    each = smoothing / (vocab_size - 1)
    return -(1 - smoothing) * math.log(1 - smoothing) - smoothing * math.log(each)


def _stronger(objective: Mapping[str, Any]) -> dict[str, float]:
    rdrop = objective["rdrop_weight"]
    return {"objective.rdrop_weight": 2 * rdrop if rdrop > 0 else _FIRST_RDROP}
