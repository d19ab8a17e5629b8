"""What the machine has, against what others say of it."""

import psutil
import pytest

from horizon_st.hardware import memory_gb


@pytest.mark.parametrize(
    ("limit", "share_gb"), [(None, None), ("max\n", None), ("500000000\n", 0.5), ("9" * 15, None)]
)
def test_memory_is_the_machines_or_what_a_container_may_have_of_it(tmp_path, limit, share_gb):
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit, encoding="utf-8")
    of_machine = psutil.virtual_memory().total / 1e9
    expected = of_machine if share_gb is None else share_gb
    assert memory_gb(tmp_path) == pytest.approx(expected, rel=0.01)
