"""Train the text encoder to name what a caption states, so that the transformer starts from readable text.

Trained jointly with the transformer instead, a text encoder this small stays a bag of words for hours: "a red star
on blue" and "a blue star on red" look the same to it.
"""

from __future__ import annotations

import argparse
import random

import torch
import torch.nn.functional as F
from torch import nn

from videoapi_starter.training import processes
from videoapi_starter.training.networks import TEXT_WIDTH, make_text_encoder, make_tokenizer
from videoapi_starter.training.optimizer import Trainer
from videoapi_starter.training.scenes import (
    ATTRIBUTES,
    MOTIONS,
    PALETTE,
    SHAPES,
    draw_scene,
    empty_caption,
    full_caption,
    short_caption,
)

CLASSES = {"shape": list(SHAPES), "color": list(PALETTE), "motion": list(MOTIONS), "background": list(PALETTE)}


def draw_batch(
    size: int, rng: random.Random, *, held_out: bool, kind: str | None = None
) -> tuple[list[str], torch.Tensor]:
    """Captions and the class (batch, 4) of each attribute; the last class means that the caption does not say."""
    texts, labels = [], []
    for _ in range(size):
        scene = draw_scene(rng, held_out=held_out)
        chosen = kind or rng.choices(("full", "short", "empty"), (0.70, 0.25, 0.05))[0]
        if chosen == "full":
            text, stated = full_caption(scene, rng)
        elif chosen == "short":
            text, stated = short_caption(scene, rng)
        else:
            text, stated = empty_caption(rng)
        texts.append(text)
        labels.append(
            [CLASSES[name].index(getattr(scene, name)) if name in stated else len(CLASSES[name]) for name in ATTRIBUTES]
        )
    return texts, torch.tensor(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=1500)
    args = parser.parse_args()
    processes.join()
    torch.manual_seed(0)
    rng = random.Random(3)
    tokenizer = make_tokenizer()
    encoder = make_text_encoder(len(tokenizer))
    # Read from the mean over the words and from the end token alone: each must know everything.
    heads = nn.ModuleList([nn.Linear(TEXT_WIDTH, len(CLASSES[name]) + 1) for _ in range(2) for name in ATTRIBUTES])
    module = nn.ModuleDict({"encoder": encoder, "heads": heads})
    matrices = [
        f"encoder.{name}"
        for name, p in encoder.named_parameters()
        if p.ndim == 2 and ".block." in name and "relative" not in name
    ]
    trainer = Trainer(module, matrices, lr=3e-3, average=0.99)

    def predict(texts: list[str]) -> list[torch.Tensor]:
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        hidden = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
        mask = tokens.attention_mask[..., None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        end = hidden[torch.arange(len(texts)), tokens.attention_mask.sum(1) - 1]
        return [head(mean if i < len(ATTRIBUTES) else end) for i, head in enumerate(heads)]

    @torch.no_grad()
    def report(step: int) -> None:
        for kind in ("full", "short", "empty"):
            texts, labels = draw_batch(512, rng, held_out=True, kind=kind)
            right = [
                round(float((out.argmax(1) == labels[:, i % 4]).float().mean()), 3)
                for i, out in enumerate(predict(texts))
            ]
            bar.write(f"step {step}, {kind} captions: from the mean {right[:4]}, from the end {right[4:]}")

    bar = processes.show_progress("text encoder", args.steps)
    for step in range(args.steps):
        texts, labels = draw_batch(64, rng, held_out=False)
        losses = [F.cross_entropy(out, labels[:, i % 4]) for i, out in enumerate(predict(texts))]
        trainer.step(torch.stack(losses).sum(), rate=min(1, (step + 1) / 20, (args.steps - step) / (0.4 * args.steps)))
        bar.update()
        if step % 300 == 0:
            report(step)
    bar.close()
    trainer.swap_averaged()
    report(args.steps)
    processes.save(encoder.state_dict(), args.out)


if __name__ == "__main__":
    main()
