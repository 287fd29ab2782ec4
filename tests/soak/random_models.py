"""Models of the right shapes and of random weights, for nodes of neighbours that want one.

    python tests/soak/random_models.py COMFYUI MODELS [SAM2_PACK]

writes into the folder MODELS what `neighbour_models.py` loads: SAM3, an SD 1.5 in three parts, and,
where the SAM2 pack is given, its smallest model. COMFYUI is the checkout. 3.2 GB, 40 s.
What they answer means nothing; that two askings of one meaning answer the same does.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "num_heads": 8,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "use_spatial_transformer": True, "context_dim": 768, "legacy": False,
}  # fmt: skip
VAE = {
    "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
    "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip


def random_weights(shapes: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """For each name fp16 weights that neither vanish nor explode: norms 1, biases 0."""
    chance = torch.Generator().manual_seed(seed)
    made = {}
    for name, like in shapes.items():
        if not like.is_floating_point() or like.is_complex():
            continue
        if like.ndim > 1:
            spread = like[0].numel() ** -0.5
            made[name] = (torch.randn(like.shape, generator=chance) * spread).half()
        else:
            made[name] = torch.full(like.shape, float(name.endswith("weight"))).half()
    return made


def shapes(module: torch.nn.Module, prefix: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a module by name, without values where it was built on `meta`."""
    return {prefix + name: tensor for name, tensor in module.state_dict().items()}


def comfyui_models() -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """(file below the models folder, its tensors) of what core's loaders read."""
    import comfy.clip_model
    import comfy.ldm.models.autoencoder
    import comfy.ldm.modules.diffusionmodules.openaimodel as openai
    import comfy.ldm.sam3.detector as sam3
    import comfy.ops
    import comfy.sd1_clip

    plain = comfy.ops.disable_weight_init
    with torch.device("meta"):
        yield (
            "diffusion_models/random_sam3.safetensors",
            shapes(sam3.SAM3Model(dtype=torch.float32, operations=plain)),
        )
        yield (
            "diffusion_models/random_unet.safetensors",
            shapes(openai.UNetModel(**UNET, operations=plain)),
        )
        yield (
            "vae/random_vae.safetensors",
            shapes(comfy.ldm.models.autoencoder.AutoencoderKL(ddconfig=VAE, embed_dim=4)),
        )
    yield (
        "text_encoders/random_clip.safetensors",
        shapes(comfy.sd1_clip.SDClipModel(device="cpu", dtype=torch.float16).transformer),
    )


def sam2_model(pack: Path) -> dict[str, torch.Tensor]:
    """The tensors of the pack's smallest SAM2.1; its own loader tells them by what it misses."""
    sys.path.insert(0, str(pack.parent))
    loader: Any = importlib.import_module(f"{pack.name}.load_model")
    found: dict[str, torch.Tensor] = {}
    kept = torch.nn.Module.load_state_dict
    loader.load_torch_file = lambda path: {}
    torch.nn.Module.load_state_dict = lambda self, sd: found.update(shapes(self))  # type: ignore
    try:
        config = pack / "sam2_configs/sam2.1_hiera_t.yaml"
        loader.load_model("", config, "single_image", torch.float32, torch.device("cpu"))
    finally:
        torch.nn.Module.load_state_dict = kept
    return found


def main() -> None:
    comfyui, models, *packs = (Path(one).resolve() for one in sys.argv[1:])
    sys.path.insert(0, str(comfyui))
    sys.argv = ["random_models", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    made = list(comfyui_models())
    made += [("sam2/sam2.1_hiera_tiny.safetensors", sam2_model(pack)) for pack in packs]
    for number, (name, wanted) in enumerate(made):
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(random_weights(wanted, number), models / name)
        print(name, len(wanted), "tensors", f"{(models / name).stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
