"""Dropout of text models, which transformers' families name differently."""

from __future__ import annotations

from transformers import PreTrainedConfig

from horizon_st.errors import UserError
from horizon_st.model.configuration import TextModelConfig


def has_dropout(text_config: PreTrainedConfig) -> bool:
    """Whether two training passes over the same input differ."""
    names = ("dropout", "attention_dropout", "activation_dropout", "dropout_rate")
    return any(getattr(text_config, name, 0) > 0 for name in names)


def set_dropout(text_config: PreTrainedConfig, section: TextModelConfig) -> bool:
    """Whether a text model's config has changed by the dropout that a recipe gives.

    Raises:
        UserError: it gives dropout that the model does not have.
    """
    given = section.dropouts
    if text_config.model_type in ("t5", "mt5"):
        if section.attention_dropout or section.activation_dropout:
            raise UserError(
                "model.text_model.attention_dropout and activation_dropout",
                expected="0 with a model of type T5, whose one dropout acts everywhere",
                found=f"{section.attention_dropout or 0} and {section.activation_dropout or 0}",
                remedy="Remove both and use dropout.",
            )
        given = {"dropout_rate": given["dropout"]} if "dropout" in given else {}
    before = {key: getattr(text_config, key) for key in given}
    for key, value in given.items():
        setattr(text_config, key, value)
    return before != given
