"""Run records -> answers: studies of the regularisers, and the search for the best setting."""

from horizon_st.horizon.finder import HorizonResult, find_horizon
from horizon_st.horizon.space import SearchSpace

__all__ = ["HorizonResult", "SearchSpace", "find_horizon"]
