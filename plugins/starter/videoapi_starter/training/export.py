"""Write the trained parts as a WanImageToVideoPipeline folder in bfloat16."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanImageToVideoPipeline

from videoapi_starter.training.networks import make_scheduler, make_text_encoder, make_tokenizer, make_transformer


def build_pipeline(autoencoder: str, text: str, checkpoint: str) -> WanImageToVideoPipeline:
    """The pipeline in float32, with the running average of the transformer's weights."""
    state = torch.load(checkpoint, map_location="cpu")
    transformer = make_transformer().eval()
    transformer.load_state_dict(state["transformer"])
    for param, average in zip(transformer.parameters(), state["trainer"]["averaged"], strict=True):
        param.data.copy_(average)
    tokenizer = make_tokenizer()
    text_encoder = make_text_encoder(len(tokenizer)).eval()
    text_encoder.load_state_dict(torch.load(text))
    vae = AutoencoderKLWan.from_pretrained(autoencoder).eval()
    vae.register_to_config(
        latents_mean=[round(x, 5) for x in state["mean"].tolist()],
        latents_std=[round(x, 5) for x in state["std"].tolist()],
    )
    return WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        scheduler=make_scheduler(),
        transformer=transformer,
        image_encoder=None,
        image_processor=None,
    )


def name_tokenizer_class(folder: Path) -> None:
    """transformers 5 writes a class name that transformers 4 does not know; both know this one."""
    for name, key, value in (
        ("model_index.json", "tokenizer", ["transformers", "PreTrainedTokenizerFast"]),
        ("tokenizer/tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast"),
    ):
        path = folder / name
        config = json.loads(path.read_text())
        config[key] = value
        path.write_text(json.dumps(config, indent=2) + "\n")


def forget_source(folder: Path) -> None:
    """diffusers writes down which folder a part came from."""
    path = folder / "vae" / "config.json"
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--transformer", required=True)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    pipeline = build_pipeline(args.autoencoder, args.text, args.transformer)
    pipeline.to(torch.bfloat16)
    pipeline.save_pretrained(args.out)
    name_tokenizer_class(args.out)
    forget_source(args.out)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
