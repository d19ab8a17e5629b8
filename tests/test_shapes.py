"""Wrong shapes are noticed in tests, by the hook in conftest."""

import pytest
import torch
from jaxtyping import TypeCheckError

from horizon_st.model.subsampler import Conv1dSubsampler
from horizon_st.objective.terms import symmetric_kl


def test_distributions_over_other_vocabularies_are_noticed():
    with pytest.raises(TypeCheckError):
        symmetric_kl(torch.zeros(2, 3, 5), torch.zeros(2, 3, 6), torch.ones(2, 3, dtype=torch.bool))


def test_lengths_of_other_batches_are_noticed():
    with pytest.raises(TypeCheckError):
        Conv1dSubsampler(8, 4, 8)(torch.zeros(2, 9, 8), torch.tensor([9, 9, 9]))
