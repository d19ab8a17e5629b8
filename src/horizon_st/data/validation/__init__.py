"""Manifests -> what is wrong with them, what they are, and repaired copies.

Lines become rows with problems (`rows`), sound adds its own (`sound`); of each row some numbers are
kept (`columns`), between which further problems show (`across`) and figures are drawn (`summary`);
`survey` runs all that, `screen` and `page` show its `report`, `repair` writes what can be used.
"""

from horizon_st.data.validation.before_training import check_before_training
from horizon_st.data.validation.repair import Repairs, check_copies, repair
from horizon_st.data.validation.report import Report
from horizon_st.data.validation.screen import show_repairs, show_report
from horizon_st.data.validation.survey import validate

__all__ = [
    "Repairs",
    "Report",
    "check_before_training",
    "check_copies",
    "repair",
    "show_repairs",
    "show_report",
    "validate",
]
