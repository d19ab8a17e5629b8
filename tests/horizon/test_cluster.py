"""A search on a cluster of two nodes, on this machine, of which one dies."""

import io
import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass

import pytest
from optuna.trial import TrialState
from rich.console import Console
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.display import ProgressBars
from horizon_st.errors import UserError
from horizon_st.horizon.cluster import RayCluster, run_workers
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.search import run_study
from horizon_st.horizon.trials import TRIAL_FILE
from horizon_st.horizon.tuning import Search


@pytest.fixture
def study(make_study):
    space = ["objective.mt_weight=[0, 1]", "objective.rdrop_weight=[0, 6]"]
    kind = AnalysisConfig(kind="search")
    return make_study({}, seeds=[1], space=space, num_trials=3, analysis=kind)


def run(study, folder, cluster):
    return run_study(study, folder, Console(file=io.StringIO()), num_workers=2, cluster=cluster)


# Ray leaves files and sockets to the collector, and its own helpers to end by themselves.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_node_that_dies_amid_a_trial_loses_and_doubles_none(study, tmp_path):
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    doomed = cluster.add_node(num_cpus=1)
    killed = threading.Event()

    def kill_when_both_work():
        while len([*tmp_path.glob("runs/*.lock")]) < 2:
            time.sleep(0.01)
        cluster.remove_node(doomed, allow_graceful=False)
        killed.set()

    thread = threading.Thread(target=kill_when_both_work)
    thread.start()
    try:
        results = run(study, tmp_path, RayCluster(cluster.address))
    finally:
        thread.join()
        cluster.shutdown()
    assert killed.is_set()
    assert len(results.scores) == 3
    assert len([*tmp_path.glob(f"runs/*/{TRIAL_FILE}")]) == 3
    storage = f"sqlite:///{tmp_path / 'small' / 'optuna.db'}"
    trials = Search(study, tmp_path, (), storage, stops_early=True).open().get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3


@dataclass(frozen=True)
class Errand:
    """A worker of a kind: "fails", "dies" whenever it is started, or "waits" for its end."""

    name: str
    place: str = "nowhere"

    def __call__(self, messages):
        if self.name == "fails":
            raise UserError("place", expected="a", found="b", remedy="Change it.")
        if self.name == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            time.sleep(0.1)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("fails", "place: expected a, found b"),
        ("dies", "expected the dies run to end well, found WorkerCrashedError"),
    ],
)
def test_the_first_failure_ends_the_workers_that_would_wait_for_ever(first, message, monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setattr("horizon_st.horizon.cluster._MOST_RETRIES", 1)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cluster = Cluster(
        head_node_args={"num_cpus": 2, "include_dashboard": False}, initialize_head=True
    )
    try:
        with (
            ProgressBars(Console(file=io.StringIO())) as bars,
            pytest.raises(UserError, match=message),
        ):
            run_workers([Errand("waits"), Errand(first)], bars, print, RayCluster(cluster.address))
    finally:
        cluster.shutdown()


def test_ray_is_asked_for_by_its_extra_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = ["search", "saturation", "--out", str(tmp_path / "out"), "--ray", "auto"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    assert re.search(r"extra `ray`, .*pip install '\.\[ray\]'", str(result.exception))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1", "127.0.0.1:x"])
def test_a_cluster_that_is_not_there_is_named_at_once(study, tmp_path, address):
    expected = f"--ray {address}: expected the address of a running cluster"
    with pytest.raises(UserError, match=re.escape(expected)):
        run(study, tmp_path, RayCluster(address))
