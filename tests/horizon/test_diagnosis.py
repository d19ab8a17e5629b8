"""The side of the horizon that settings lie on, on made-up surfaces whose horizon is known."""

import numpy as np
import pytest
from scipy.stats import qmc

from horizon_st.horizon.diagnosis import diagnose_setting
from horizon_st.horizon.finder import ScoredSetting, conclude
from horizon_st.horizon.gaussian_process import HorizonProcess
from horizon_st.horizon.space import SearchSpace

SPACE = SearchSpace(
    **{
        "objective.mt_weight": (0.0, 1.0),
        "objective.consistency_weight": (0.0, 6.0),
        "objective.rdrop_weight": (0.0, 10.0),
    }
)
TOLERANCE = 0.5


def setting(mt: float, cr: float, rd: float) -> dict[str, float]:
    return dict(zip(SPACE.names, (mt, cr, rd), strict=True))


def searched(score, *, noise=0.1, number=24):
    """What this many runs spread over the space say, of which each has a little noise."""
    rng = np.random.default_rng(0)
    points = qmc.LatinHypercube(3, rng=rng).random(number)
    settings = [SPACE.from_unit(point) for point in points]
    return conclude(
        [ScoredSetting(s, score(*s.values()) + noise * rng.normal()) for s in settings], SPACE
    )


@pytest.fixture(scope="module")
def ridge():
    """Best where R = (1 − α_t) + α_cr / 6 + α_rd / 5 is 1."""
    return searched(lambda mt, cr, rd: 30 - 6 * ((1 - mt) + cr / 6 + rd / 5 - 1) ** 2)


@pytest.mark.parametrize(
    ("weights", "side"),
    [
        ((1.0, 0.0, 0.0), "under-regularised"),  # R = 0: nothing regularises
        ((0.9, 0.5, 0.5), "under-regularised"),  # R = 0.28
        ((0.8, 1.0, 1.0), "under-regularised"),  # R = 0.57
        ((0.3, 2.0, 5.0), "over-regularised"),  # R = 2.03
        ((0.1, 5.0, 9.0), "over-regularised"),  # R = 3.53
        ((0.0, 6.0, 10.0), "over-regularised"),  # R = 4
    ],
)
def test_the_side_of_a_ridge(ridge, weights, side):
    found = diagnose_setting(setting(*weights), ridge, TOLERANCE)
    assert found.side == side
    assert found.evidence


@pytest.mark.parametrize(("tolerance", "side"), [(0.5, "undecided"), (1.5, "on the horizon")])
def test_a_setting_on_the_ridge_is_on_the_horizon_where_the_runs_tell_that_much(
    ridge, tolerance, side
):
    """R is 0.99. No run is near some corners, of which 24 runs do not tell half a point."""
    here = setting(0.5, 1.0, 1.6)
    found = diagnose_setting(here, ridge, tolerance)
    assert found.side == side
    if side == "undecided":
        there = SPACE.to_unit(found.next_setting)[None]
        gain, deviation = ridge.surrogate.gain_over(SPACE.to_unit(here), there)
        assert gain[0] + deviation[0] >= tolerance


def test_what_it_says_to_try_next_is_better(ridge):
    def score(mt, cr, rd):
        return 30 - 6 * ((1 - mt) + cr / 6 + rd / 5 - 1) ** 2

    for weights in ((1.0, 0.0, 0.0), (0.9, 0.5, 0.5), (0.1, 5.0, 9.0)):
        found = diagnose_setting(setting(*weights), ridge, TOLERANCE)
        assert score(*found.next_setting.values()) > max(score(*weights) + 1, 29.5)
        assert f"consistency_weight {found.next_setting['objective.consistency_weight']:g}" in (
            found.describe()
        )


def test_consistency_beside_strong_rdrop_is_saturated_where_it_changes_nothing():
    surface = searched(lambda mt, cr, rd: 30 - 3 * (mt - 0.5) ** 2 - 0.06 * (rd - 6) ** 2)
    found = diagnose_setting(setting(0.5, 3.0, 6.0), surface, TOLERANCE)
    assert found.side == "saturated"
    assert found.next_setting == setting(0.5, 0.0, 6.0)
    weak = diagnose_setting(setting(0.5, 3.0, 1.0), surface, TOLERANCE)
    assert weak.side == "under-regularised"


def test_consistency_that_helps_is_not_saturated():
    surface = searched(lambda mt, cr, rd: 30 - 0.4 * (cr - 3) ** 2 - 0.06 * (rd - 6) ** 2)
    assert diagnose_setting(setting(0.5, 3.0, 6.0), surface, TOLERANCE).side == "on the horizon"


def test_a_mix_that_neither_more_nor_less_of_all_improves_is_not_on_the_horizon():
    """More and less of all leave the difference of the two weights as it is, which alone counts."""
    surface = searched(lambda mt, cr, rd: 30 + 6 * (rd / 10 - cr / 6))
    found = diagnose_setting(setting(0.5, 3.0, 5.0), surface, TOLERANCE)
    assert found.side == "worse mix"
    assert found.next_setting["objective.consistency_weight"] < 2
    assert found.next_setting["objective.rdrop_weight"] > 8


def test_what_it_names_is_as_round_as_a_person_would_type():
    surface = searched(lambda mt, cr, rd: 30 - 9 * (mt - 0.7) ** 2 - 0.2 * (cr - 2) ** 2)
    found = diagnose_setting(setting(0.3, 3.1, 0.0), surface, TOLERANCE)
    assert found.next_setting
    assert all(value == float(f"{value:.2g}") for value in found.next_setting.values())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_few_runs_of_pure_noise_do_not_decide(seed):
    """Least of all the best of them, which nothing but itself has been compared with."""
    rng = np.random.default_rng(seed)
    surface = searched(lambda *_: 30 + 3 * rng.normal(), number=6)
    found = diagnose_setting(surface.best, surface, TOLERANCE)
    assert found.side == "undecided"
    assert found.next_setting != surface.best
    sides = {diagnose_setting(t.setting, surface, TOLERANCE).side for t in surface.trials}
    assert not sides & {"on the horizon", "saturated"}


def test_consistency_that_changes_almost_as_much_as_matters_is_not_saturated():
    surface = searched(lambda mt, cr, rd: 30 + 0.14 * cr - 0.06 * (rd - 6) ** 2)
    without = SPACE.to_unit(setting(0.5, 0.0, 6.0))
    here = setting(0.5, 3.0, 6.0)
    gain, deviation = surface.surrogate.gain_over(SPACE.to_unit(here), without[None])
    tolerance = abs(gain[0]) + 0.5 * deviation[0]
    assert deviation[0] < tolerance
    assert diagnose_setting(here, surface, tolerance).side != "saturated"
    found = diagnose_setting(here, surface, abs(gain[0]) + 1.5 * deviation[0])
    assert found.side == "saturated"
    assert "changes less than" in found.describe()


def test_the_surer_difference_is_that_of_the_joint_posterior():
    """Against the covariance of both points, from predictions of their sum and their parts."""
    rng = np.random.default_rng(0)
    points, scores = rng.random((12, 2)), rng.normal(size=12)
    surface = HorizonProcess(points, scores)
    here, there = np.array([0.2, 0.3]), np.array([[0.25, 0.3], [0.9, 0.8]])
    gain, deviation = surface.gain_over(here, there)
    mean, alone = surface.predict(np.concatenate([here[None], there]))
    np.testing.assert_allclose(gain, mean[1:] - mean[0], atol=1e-9)
    assert deviation[0] < 0.5 * alone[1]  # so near that most of what is unknown is shared
    assert abs(alone[0] - alone[2]) <= deviation[1] <= alone[0] + alone[2]
    np.testing.assert_allclose(surface.gain_over(here, here[None]), 0, atol=1e-6)
