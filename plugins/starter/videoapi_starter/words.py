"""Other words for what the starter knows, and the words that it does not know.

Its text encoder is trained with one wording for each thing and a few variants; a table here turns more of English into
those. Only words that mean the same are in it: a rectangle is no square, and pink is not red.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

# Longer phrases first where one holds another.
SYNONYMS = {
    "standing still": ("motionless", "stationary", "immobile", "unmoving", "frozen", "stands still", "stays still",
                       "holding still", "sitting still", "stays in place", "does not move", "doesn't move"),
    "spinning": ("spins around", "spins", "spin", "spinning around", "rotates", "rotate", "revolving", "revolves",
                 "twirling", "twirls", "whirling", "whirls", "turns around", "turning around",
                 "turning"),
    "growing": ("grows larger", "grows bigger", "grows", "grow", "growing bigger", "becoming bigger", "becomes bigger",
                "getting larger", "gets bigger", "gets larger", "enlarging", "expands", "swelling", "swells"),
    "shrinking": ("shrinks", "shrink", "gets smaller", "becoming smaller", "becomes smaller", "growing smaller",
                  "contracting", "contracts"),
    "rising": ("rises", "rise", "ascending", "ascends", "climbing", "climbs", "flies up", "floating up", "floats up"),
    "falling": ("falls down", "falling down", "falls", "fall", "drops", "drop", "descending", "descends", "sinking",
                "sinks"),
    "to the right": ("rightwards", "rightward", "towards the right", "toward the right"),
    "to the left": ("leftwards", "leftward", "towards the left", "toward the left"),
    "upwards": ("upward", "towards the top", "toward the top", "to the top"),
    "downwards": ("downward", "towards the bottom", "toward the bottom", "to the bottom"),
    "left to right": ("the left to the right", "left side to the right side"),
    "right to left": ("the right to the left", "right side to the left side"),
    "bottom to top": ("the bottom to the top",),
    "top to bottom": ("the top to the bottom",),
    "moving": ("moves", "move", "sliding", "slides", "slide", "gliding", "glides", "drifting", "drifts", "going",
               "goes", "travelling", "travels", "traveling", "flying", "flies", "floating", "floats", "rolling",
               "rolls", "passing", "passes", "sweeping", "sweeps", "running", "runs"),
    "on": ("against", "in front of", "upon", "onto", "across"),
    "background": ("backdrop",),
    "circle": ("disk", "dot"),
    "ring": ("doughnut", "hoop", "annulus"),
    "gray": ("greyish", "grayish"),
}  # fmt: skip

# In the vocabulary only so that they mean nothing, or because prompts are full of them; these ask for something.
WITHOUT_EFFECT = frozenset(
    (
        *("big", "small", "large", "tiny", "fast", "slow", "slowly", "quickly", "bright", "dark", "blurry", "low"),
        *("high", "quality", "best", "worst", "bad", "good", "ugly", "distorted", "deformed", "static", "cartoon"),
        *("simple", "colorful"),
    )
)
# Left out without a word about it: they ask for nothing.
GRAMMAR = frozenset(
    (
        *("that", "which", "this", "these", "while", "as", "by", "are", "was", "be", "being", "who", "whose", "one"),
        *("single", "some", "to", "from", "for", "has", "have", "into", "then", "so", "along", "just", "only"),
        *("please", "make", "create", "generate", "show", "shows", "showing"),
    )
)
SHOWN = 10  # unknown words named in a warning


def simplify(text: str) -> str:
    """The text in lower case and in the starter's own words, without punctuation."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text))
    return PATTERN.sub(lambda match: MEANINGS[match[0]], text)


def split_known(text: str, vocabulary: Collection[str]) -> tuple[str, list[str]]:
    """A prompt without the words that the starter does not know, and those words, once each, as in the prompt."""
    known, unknown = [], []
    for word in simplify(text).split():
        if word in vocabulary:
            known.append(word)
        if (word not in vocabulary and word not in GRAMMAR) or word in WITHOUT_EFFECT:
            unknown.append(word)
    return " ".join(known), list(dict.fromkeys(unknown))


def name_unknown(field: str, words: list[str]) -> str:
    """The warning about them."""
    named = ", ".join(f"'{word[:40]}'" for word in words[:SHOWN])
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"{field}: the starter knows nothing but plain shapes; without effect: {named}{more}."


MEANINGS = {synonym: meaning for meaning, synonyms in SYNONYMS.items() for synonym in synonyms}
PATTERN = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, MEANINGS), key=len, reverse=True)) + r")\b")
