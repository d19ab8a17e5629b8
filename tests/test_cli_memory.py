"""Freed memory stays with the process."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from horizon_st.cli.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(10):  # the first few settle where in the heap they lie
    torch.zeros(16_000_000)
before = faults()
for _ in range(10):
    torch.zeros(16_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to")
def test_the_next_tensor_needs_no_new_pages():
    found = {
        how: int(subprocess.check_output([sys.executable, "-c", PROGRAM, how]))
        for how in ("keep", "default")
    }
    assert found["keep"] < 0.2 * found["default"]
