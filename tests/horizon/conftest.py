"""Made-up results of studies, whose truth is known."""

import numpy as np
import pytest

from horizon_st.config import dump_config
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.results import StudyResults, TrialResult
from horizon_st.horizon.study import ArmConfig, StudyConfig


@pytest.fixture
def make_results():
    """A function: true score by arm -> the results of a study with noise over some seeds."""

    def make(truth, settings=None, *, seeds=(1, 2, 3), noise=0.2, dev_truth=None, **study):
        rng = np.random.default_rng(7)
        of_seed = {seed: rng.normal(0, 2.0) for seed in seeds}
        settings = settings or {arm: {"objective.rdrop_weight": i} for i, arm in enumerate(truth)}
        config = StudyConfig(
            name="made_up",
            claim="A is B.",
            recipe="telephone",
            seeds=list(seeds),
            arms=[
                ArmConfig(arm, [f"{key}={value}" for key, value in settings[arm].items()])
                for arm in truth
            ],
            **{"analysis": AnalysisConfig(**study.pop("analysis", {})), **study},
        )
        trials = []
        for arm, value in truth.items():
            for seed in seeds:
                score = value + of_seed[seed] + rng.normal(0, noise)
                dev = {} if dev_truth is None else {"bleu": dev_truth[arm] + of_seed[seed]}
                trials.append(
                    TrialResult(
                        arm,
                        seed,
                        scores={"BLEU": score, "chrF2": 2 * score, "text_BLEU": score + 30},
                        dev=dev,
                        steps=10,
                        wall_s=60.0,
                    )
                )
        hardware = [{"processor": "a processor", "accelerator": None}]
        return StudyResults(config, settings, trials, {"BLEU": "nrefs:1"}, {}, hardware)

    return make


@pytest.fixture(scope="module")
def make_study(make_recipe, tmp_path_factory):
    """A function: arms, and keys of the study -> a study with a recipe of two stages."""

    def make(arms, **keys):
        recipe = make_recipe("stages.mt_external.max_steps=0", "stages.st.max_steps=4")
        path = tmp_path_factory.mktemp("recipe") / "tones.yaml"
        path.write_text(dump_config(recipe), encoding="utf-8")
        return StudyConfig(
            name="small",
            claim="More is better.",
            recipe=str(path),
            **{"seeds": [1, 2], **keys},
            arms=[ArmConfig(name, list(settings)) for name, settings in arms.items()],
        )

    return make
