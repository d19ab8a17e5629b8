"""What the machine has, against what others say of it."""

import psutil
import pytest
import torch

from horizon_st.hardware import memory_gb, take_share


@pytest.mark.parametrize(
    ("limit", "share_gb"), [(None, None), ("max\n", None), ("500000000\n", 0.5), ("9" * 15, None)]
)
def test_memory_is_the_machines_or_what_a_container_may_have_of_it(tmp_path, limit, share_gb):
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit, encoding="utf-8")
    of_machine = psutil.virtual_memory().total / 1e9
    expected = of_machine if share_gb is None else share_gb
    assert memory_gb(tmp_path) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("allowed", "cores", "num_workers", "expected"),
    [(8, 8, 2, 4), (1, 8, 2, 1), (2, 8, 1, 2), (8, 2, 4, 1)],
)
def test_a_share_is_never_more_threads_than_are_allowed(
    monkeypatch, allowed, cores, num_workers, expected
):
    before = torch.get_num_threads()
    monkeypatch.setattr("horizon_st.hardware.usable_cores", lambda: cores)
    try:
        torch.set_num_threads(allowed)
        take_share(0, num_workers)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
