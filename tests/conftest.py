"""Shapes in the signatures of objective and model are checked in every test (jaxtyping)."""

from jaxtyping import install_import_hook

install_import_hook(
    [
        *(
            f"horizon_st.objective.{name}"
            for name in ("objective", "passes", "terms", "token_terms")
        ),
        *(f"horizon_st.model.{name}" for name in ("outputs", "subsampler", "translator")),
        *(f"horizon_st.data.{name}" for name in ("augment", "frontend")),
    ],
    "beartype.beartype",
)
