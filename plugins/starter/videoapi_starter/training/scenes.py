"""What the training clips show, and the words that say so."""

from __future__ import annotations

import random
import string
import zlib
from dataclasses import dataclass

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 170, 70),
    "blue": (50, 80, 220),
    "yellow": (240, 210, 50),
    "orange": (245, 140, 30),
    "purple": (140, 60, 190),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "gray": (128, 128, 128),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "ring")
MOTIONS = ("right", "left", "up", "down", "grow", "shrink", "spin", "still")
ATTRIBUTES = ("shape", "color", "motion", "background")

# Pairs that even a reader of the finished clip cannot tell apart reliably.
TOO_CLOSE = {frozenset(pair) for pair in (("orange", "yellow"), ("orange", "red"), ("blue", "purple"))}
# A rotation of these cannot be seen.
ROUND = ("circle", "ring")

SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc", "ball"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "ring": ("ring", "ring", "donut"),
}
COLOR_WORDS = {name: (name,) for name in PALETTE} | {
    "gray": ("gray", "grey"),
    "purple": ("purple", "violet"),
}
MOTION_WORDS = {
    "right": (
        "moving to the right",
        "moving left to right",
        "moving from left to right",
        "moving right",
        "sliding to the right",
    ),
    "left": (
        "moving to the left",
        "moving right to left",
        "moving from right to left",
        "moving left",
        "sliding to the left",
    ),
    "up": ("moving up", "moving upwards", "rising", "flying up", "moving from bottom to top"),
    "down": ("moving down", "moving downwards", "falling", "dropping", "moving from top to bottom"),
    "grow": ("growing", "getting bigger", "growing larger", "expanding"),
    "shrink": ("shrinking", "getting smaller"),
    "spin": ("spinning", "rotating", "turning around"),
    "still": ("standing still", "not moving", "staying still"),
}
FILLER_WORDS = (
    "a the of in with and at is it its there shape object thing video clip movie scene picture photo image "
    "animation background small big large tiny fast slow slowly quickly bright dark blurry low high quality best "
    "worst bad good ugly distorted deformed static cartoon simple colorful"
).split()


@dataclass(frozen=True, slots=True)
class Scene:
    """One shape of one colour that moves in one way over a plain background."""

    shape: str
    color: str
    motion: str
    background: str

    @property
    def held_out(self) -> bool:
        """True for about one combination in sixteen: evaluation uses only these, training never does."""
        key = f"{self.shape}|{self.color}|{self.motion}|{self.background}"
        return zlib.crc32(key.encode()) % 16 == 0


def draw_scene(rng: random.Random, *, held_out: bool = False) -> Scene:
    """A random scene from the training combinations, or from the held-out ones."""
    while True:
        scene = Scene(rng.choice(SHAPES), rng.choice(list(PALETTE)), rng.choice(MOTIONS), rng.choice(list(PALETTE)))
        pair = frozenset((scene.color, scene.background))
        if len(pair) == 1 or pair in TOO_CLOSE:
            continue
        if scene.motion == "spin" and scene.shape in ROUND:
            continue
        if scene.held_out == held_out:
            return scene


def plain_caption(scene: Scene) -> str:
    """The wording that the evaluation uses."""
    return (
        f"{_article(scene.color)} {scene.color} {scene.shape} {MOTION_WORDS[scene.motion][0]} "
        f"on a {scene.background} background"
    )


def full_caption(scene: Scene, rng: random.Random) -> tuple[str, frozenset[str]]:
    """A whole sentence about the scene, and the attributes that it states."""
    shape, color = rng.choice(SHAPE_WORDS[scene.shape]), rng.choice(COLOR_WORDS[scene.color])
    motion, back = rng.choice(MOTION_WORDS[scene.motion]), rng.choice(COLOR_WORDS[scene.background])
    where = rng.choice((f"on a {back} background", f"on {back}", f"over a {back} background", f"{back} background"))
    thing = f"{_article(color)} {color} {shape}"
    everything = frozenset(ATTRIBUTES)
    forms = (
        (50, f"{thing} {motion} {where}", everything),
        (12, f"{color} {shape} {motion}, {where}", everything),
        (8, f"a video of {thing} {motion} {where}", everything),
        (8, f"{where}, {thing} is {motion}", everything),
        (8, f"{thing} {motion}", everything - {"background"}),
        (7, f"{_article(shape)} {shape} {motion} {where}", everything - {"color"}),
        (7, f"{thing} {where}", everything - {"motion"}),
    )
    _, text, stated = rng.choices(forms, [weight for weight, _, _ in forms])[0]
    if rng.random() < 0.15:
        words = text.split()
        words.insert(rng.randrange(len(words)), _unknown_word(rng))
        text = " ".join(words)
    if rng.random() < 0.2:
        text = text.capitalize()
    if rng.random() < 0.2:
        text += "."
    return text, stated


def short_caption(scene: Scene, rng: random.Random) -> tuple[str, frozenset[str]]:
    """A few words, as negative prompts are written, and the attributes that they state."""
    shape, color = rng.choice(SHAPE_WORDS[scene.shape]), rng.choice(COLOR_WORDS[scene.color])
    motion, back = rng.choice(MOTION_WORDS[scene.motion]), rng.choice(COLOR_WORDS[scene.background])
    text, stated = rng.choice(
        (
            (color, "color"),
            (shape, "shape"),
            (motion, "motion"),
            (f"{color} {shape}", "color shape"),
            (f"{_article(color)} {color} {shape}", "color shape"),
            (f"{_article(shape)} {shape}", "shape"),
            (f"{shape} {motion}", "shape motion"),
            (f"{back} background", "background"),
            (f"on a {back} background", "background"),
            (f"on {back}", "background"),
            (f"{shape} on {back}", "shape background"),
            (f"{motion} on a {back} background", "motion background"),
            (f"{color} object", "color"),
            (f"{color} shape {motion}", "color motion"),
        )
    )
    return text, frozenset(stated.split())


def empty_caption(rng: random.Random) -> tuple[str, frozenset[str]]:
    """Words that say nothing about the scene, known and unknown ones: often none at all."""
    count = rng.choice((0, 0, 0, 2, 3, 5, 9))
    words = [_unknown_word(rng) if rng.random() < 0.4 else rng.choice(FILLER_WORDS) for _ in range(count)]
    return " ".join(words), frozenset()


def vocabulary() -> list[str]:
    """Every word that a caption can contain, lower case, sorted."""
    tables = (SHAPE_WORDS, COLOR_WORDS, MOTION_WORDS)
    phrases = [phrase for table in tables for words in table.values() for phrase in words]
    words = {word for phrase in phrases for word in phrase.split()}
    return sorted(words | {"an", "on", "over", "shape", "object"} | set(FILLER_WORDS))


def _unknown_word(rng: random.Random) -> str:
    """Letters that mean nothing: people write words that the vocabulary lacks."""
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 9)))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
