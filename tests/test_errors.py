"""Refusals of a word, and errors of other libraries on one line."""

import pytest

from horizon_st.errors import UserError, check_choice, reason_of


def test_the_nearest_choice_is_named():
    check_choice("drink", "tea", ("coffee", "tea"))
    with pytest.raises(
        UserError, match=r"drink: expected one of coffee, tea, found cofee\. Did you mean coffee\?"
    ):
        check_choice("drink", "cofee", ("coffee", "tea"))
    with pytest.raises(UserError, match=r"found \. Did you mean (coffee|tea)\?"):
        check_choice("drink", "", ("coffee", "tea"))


def test_a_reason_is_one_line_of_a_readable_length():
    assert reason_of(KeyError("a")) == "KeyError: 'a'"
    assert reason_of(ValueError("one\n  two")) == "ValueError: one two"
    assert reason_of(ValueError("x" * 999)) == "ValueError: " + "x" * 300 + " …"
