"""The training code keeps its word: clips show what captions say, and the shortcuts are exact."""

from __future__ import annotations

import random
from typing import Any

import pytest


@pytest.mark.parametrize("size", [(17, 128, 128), (9, 96, 160), (25, 160, 96)])
def test_the_judge_reads_rendered_clips_without_a_mistake(size: tuple[int, int, int]) -> None:
    from videoapi_starter.training import clips, judge, scenes

    rng = random.Random(5)
    asked = [scenes.draw_scene(rng) for _ in range(40)]
    rendered = (clips.render(asked, *size, rng) + 1) / 2
    assert judge.score(list(rendered), asked)["all"] == 1.0


def test_the_judge_catches_every_attribute_that_is_not_as_asked() -> None:
    from dataclasses import replace

    from videoapi_starter.training import clips, judge, scenes

    rng = random.Random(6)
    asked = [scenes.draw_scene(rng) for _ in range(8)]
    others = {
        "shape": {**dict(zip(scenes.SHAPES, (*scenes.SHAPES[1:], "circle"), strict=True)), "heart": "star"},
        "motion": dict(
            zip(scenes.MOTIONS, ("left", "up", "down", "grow", "shrink", "still", "grow", "up"), strict=True)
        ),
        "color": {name: next(color for color in ("green", "black") if color != name) for name in scenes.PALETTE},
    }
    for name, other in others.items():
        wrong = [replace(scene, **{name: other[getattr(scene, name)]}) for scene in asked]
        wrong = [scene for scene in wrong if len({scene.color, scene.background}) == 2]
        shown = list((clips.render(wrong, 17, 128, 128, rng) + 1) / 2)
        meant = [scene for scene in asked if replace(scene, **{name: other[getattr(scene, name)]}) in wrong]
        score = judge.score(shown, meant)
        assert (score[name], score["all"]) == (0.0, 0.0), name
        assert min(value for key, value in score.items() if key not in (name, "all")) == 1.0


def test_the_judge_sees_nothing_where_nothing_is() -> None:
    import torch

    from videoapi_starter.training import judge

    assert judge.judge(torch.full((3, 9, 64, 64), 0.5)) is None


def test_held_out_combinations_are_never_drawn_for_training() -> None:
    from videoapi_starter.training.scenes import draw_scene

    rng = random.Random(1)
    assert not any(draw_scene(rng).held_out for _ in range(500))
    assert all(draw_scene(rng, held_out=True).held_out for _ in range(50))


@pytest.mark.parametrize("kind", ["full", "short"])
def test_a_caption_states_what_it_claims_to_state(kind: str) -> None:
    from videoapi_starter.training import scenes

    words: dict[str, Any] = {
        "shape": scenes.SHAPE_WORDS,
        "color": scenes.COLOR_WORDS,
        "motion": scenes.MOTION_WORDS,
        "background": scenes.COLOR_WORDS,
    }
    rng = random.Random(2)
    for _ in range(300):
        scene = scenes.draw_scene(rng)
        text, stated = (scenes.full_caption if kind == "full" else scenes.short_caption)(scene, rng)
        said = set(text.lower().rstrip(".").replace(",", "").split())
        for name in stated:
            options = words[name][getattr(scene, name)]
            # An unknown word can stand inside a phrase, so all of its words must be there, in any place.
            assert any(set(option.split()) <= said for option in options)


def test_the_tokenizer_knows_every_word_of_the_captions() -> None:
    from videoapi_starter.training import networks, scenes

    tokenizer = networks.make_tokenizer()
    for word in scenes.vocabulary():
        assert len(tokenizer(word.upper()).input_ids) == 2, word  # the word and the end


def test_one_counted_pad_is_the_same_as_five_hundred_zero_vectors() -> None:
    import torch

    from videoapi_starter.training.networks import TEXT_LENGTH, TEXT_WIDTH, make_transformer
    from videoapi_starter.training.prompts import CountedPadding

    torch.manual_seed(0)
    transformer = make_transformer().eval()
    latents, time = torch.randn(2, transformer.config.in_channels, 3, 4, 4), torch.tensor([300.0, 800.0])
    words = torch.randn(2, 7, TEXT_WIDTH)
    padded = torch.cat([words, torch.zeros(2, TEXT_LENGTH - 7, TEXT_WIDTH)], 1)
    with torch.no_grad():
        expected = transformer(latents, time, padded, return_dict=False)[0]
        padding = CountedPadding()
        padding.bias = torch.zeros(2, 1, 1, 8)
        padding.bias[..., -1] = torch.log(torch.tensor(float(TEXT_LENGTH - 7)))
        for block in transformer.blocks:
            block.attn2.set_processor(padding)
        one = torch.cat([words, torch.zeros(2, 1, TEXT_WIDTH)], 1)
        found = transformer(latents, time, one, return_dict=False)[0]
    assert torch.allclose(found, expected, atol=1e-5)
