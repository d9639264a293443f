"""Many ways to say one thing, and words that say nothing to the starter."""

from __future__ import annotations

import pytest

from videoapi_starter.training.scenes import vocabulary
from videoapi_starter.words import SYNONYMS, WITHOUT_EFFECT, name_unknown, split_known

KNOWN = frozenset(vocabulary())


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a red circle moving up on a blue background", "a red circle moving up on a blue background"),
        ("blue background, red circle slides right", "blue background red circle moving right"),
        ("A GREEN star ROTATES; on black!", "a green star spinning on black"),
        ("a heart that rises against a yellow backdrop", "a heart rising on a yellow background"),
        ("yellow ring, left-to-right", "yellow ring left to right"),
        ("an orange disk going from the left to the right", "an orange circle moving from left to right"),
        ("ｒｅｄ ｃｉｒｃｌｅ", "red circle"),
        ("", ""),
    ],
)  # fmt: skip
def test_other_words_for_what_it_knows_are_turned_into_its_own(said: str, read: str) -> None:
    assert split_known(said, KNOWN) == (read, [])


def test_words_that_it_does_not_know_are_left_out_and_named_once() -> None:
    known, unknown = split_known("a cat and a Cat on a pink sofa moving fast, 猫", KNOWN)
    assert known == "a and a on a moving fast"
    assert unknown == ["cat", "pink", "sofa", "fast", "猫"]


def test_the_warning_names_ten_words_and_counts_the_rest() -> None:
    assert name_unknown("prompt", ["cat"]).endswith("without effect: 'cat'.")
    message = name_unknown("prompt", ["x" * 80 for _ in range(25)])
    assert message.endswith("and 15 more.")
    assert "x" * 41 not in message


def test_every_synonym_ends_in_words_of_the_vocabulary_and_is_no_other_thing_there() -> None:
    assert all(word in KNOWN for meaning in SYNONYMS for word in meaning.split())
    assert WITHOUT_EFFECT <= KNOWN
