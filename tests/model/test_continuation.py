"""What a recipe may change about an initial model; shapes are tested with the recipe's parts."""

import pytest

from horizon_st.errors import UserError
from horizon_st.model.configuration import ModelConfig, TextModelConfig
from horizon_st.model.continuation import continue_model


def test_an_initial_t5_takes_its_one_dropout(make_model):
    section = ModelConfig(text_model=TextModelConfig(dropout=0.3))
    changed = continue_model(make_model("t5"), section)
    assert changed.config.get_text_config().dropout_rate == 0.3


@pytest.mark.parametrize(
    ("key", "found"),
    [("attention_dropout", r"0\.2 and 0"), ("activation_dropout", r"0 and 0\.2")],
)
def test_an_initial_t5_has_no_other_dropout(make_model, key, found):
    section = ModelConfig(text_model=TextModelConfig(**{key: 0.2}))
    with pytest.raises(
        UserError,
        match=r"attention_dropout and activation_dropout: expected 0 with a model of type T5, "
        rf"whose one dropout acts everywhere, found {found}\. Remove both and",
    ):
        continue_model(make_model("t5"), section)
