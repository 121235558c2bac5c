"""Opens the files of a base with diffusers' and transformers' own classes, strictly.

`DiffusionPipeline.from_pretrained` would fill missing weights with random numbers, read pickles, and load
any class that a folder names. Here each network is one of the classes below, from safetensors, complete and
finite.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from huggingface_hub import hf_hub_download, metadata_load
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import safe_open
from torch import nn
from yaml import YAMLError

from mcm_core.drawing.conditions import InputError
from mcm_core.weights import opening, require_complete, require_finite

Family = Literal["sd", "sdxl", "ldm", "ddpm"]

NETWORKS: dict[str, tuple[str, ...]] = {
    "unet": ("UNet2DConditionModel", "UNet2DModel"),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "vqvae": ("VQModel", "AutoencoderKL"),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
}
PIPELINES: dict[Family, Any] = {
    "sd": diffusers.StableDiffusionPipeline,
    "sdxl": diffusers.StableDiffusionXLPipeline,
    "ldm": diffusers.LDMPipeline,
    "ddpm": diffusers.DDPMPipeline,
}
SINGLE_FILE_PARTS = ("model.diffusion_model.", "first_stage_model.")
SUPPORTED = "Stable Diffusion 1.x and 2.x, SDXL, LDMPipeline and DDPMPipeline"


def open_pipeline(source: str | Path, **options: Any) -> tuple[Any, Family]:
    """The diffusers pipeline at a folder, a hub id or a `.safetensors` file, on the CPU, and its family.

    A network is in half precision where it is stored so (diffusers would widen it: twice the main memory),
    and in float32 otherwise.

    Raises:
        InputError: anything else, see `Base.from_pretrained`.
    """
    with opening(source, "base"):
        open_it = _open_file if Path(source).is_file() else _open_folder
        pipe, family = open_it(source, options)
        _require_supported(pipe, source)
    return pipe, family


def open_autoencoder(source: str | Path, **options: Any) -> nn.Module | None:
    """The autoencoder of the base at `source` alone, in float32 on the CPU; None where it has none.

    Raises:
        InputError: as `open_pipeline`.
    """
    if Path(source).is_file():
        pipe, _ = open_pipeline(source, **options)
        return pipe.vae.float()
    with opening(source, "base"):
        index = diffusers.DiffusionPipeline.load_config(source, **hub_options(options))
        for name in ("vae", "vqvae"):
            if name in index:
                return _open_network(source, name, index[name][-1], options).float()
    return None


def networks(pipe: Any) -> list[nn.Module]:
    """Every network of a pipeline."""
    found = (getattr(pipe, name, None) for name in NETWORKS)
    return [network for network in found if network is not None]


def text_encoders(pipe: Any) -> list[nn.Module]:
    found = (getattr(pipe, name, None) for name in ("text_encoder", "text_encoder_2"))
    return [network for network in found if network is not None]


def recommended(source: str | Path, name: str) -> float | None:
    """What the model card of a local folder recommends for a parameter like `guidance_scale`, where the hub
    keeps it (`inference: parameters:` in its front matter); None where there is no such number."""
    card = Path(source) / "README.md"
    if not card.is_file():
        return None
    try:
        return float(metadata_load(card)["inference"]["parameters"][name])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, YAMLError):
        return None


def _open_folder(source: str | Path, options: Mapping[str, Any]) -> tuple[Any, Family]:
    index = diffusers.DiffusionPipeline.load_config(source, **hub_options(options))
    named = {name: tuple(value) for name, value in index.items() if isinstance(value, list)}
    family = _family({name for name, value in named.items() if value[-1] is not None}, index, source)
    parts: dict[str, Any] = {}
    for name, (_, kind) in named.items():
        if name in NETWORKS:
            parts[name] = _open_network(source, name, kind, options)
        elif name.startswith("tokenizer"):
            parts[name] = _open_tokenizer(source, name, options)
        elif name == "scheduler":
            opener = _scheduler_class(kind, source)
            parts[name] = opener.from_pretrained(source, subfolder=name, **hub_options(options))
    return _assemble(family, parts, index), family


def _open_file(source: str | Path, options: Mapping[str, Any]) -> tuple[Any, Family]:
    """One file in the original layout; its configuration is `config`, or comes from the hub."""
    with safe_open(source, framework="pt") as file:
        keys = list(file.keys())
    if not all(any(key.startswith(part) for key in keys) for part in SINGLE_FILE_PARTS):
        raise InputError(
            f"{source} is not a whole Stable Diffusion checkpoint (U-Net, text encoder and autoencoder in "
            "one file): give such a file, or a diffusers folder."
        )
    family: Family = "sdxl" if any(key.startswith("conditioner.embedders.1.") for key in keys) else "sd"
    extra = {} if family == "sdxl" else {"safety_checker": None, "feature_extractor": None}
    try:
        precision = {"torch_dtype": _stored_precision(Path(source))}
        pipe = PIPELINES[family].from_single_file(str(source), **extra, **precision, **options)
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{source} comes without the configuration of its family, and the hub cannot be reached: give a "
            "diffusers folder of the same family as `config`, or go online once."
        ) from error
    except NotImplementedError as error:  # parameters without a value cannot be moved
        raise InputError(
            f"{source} is incomplete: weights are missing. Take the full checkpoint, not a pruned part of it."
        ) from error
    for network in networks(pipe):
        require_finite(network, source)
    return pipe, family


def _open_network(source: str | Path, name: str, kind: str, options: Mapping[str, Any]) -> Any:
    if kind not in NETWORKS[name]:
        raise InputError(f"The {name} of {source} is a {kind}, which is not supported: use {SUPPORTED}.")
    library = transformers if name.startswith("text") else diffusers
    options = {**({"variant": "fp16"} if only_half(Path(source) / name) else {}), **options}
    network, report = getattr(library, kind).from_pretrained(
        source,
        subfolder=name,
        use_safetensors=True,
        output_loading_info=True,
        dtype=_stored_precision(_weights(source, name, options)),
        **options,
    )
    require_complete(report, f"{source}/{name}")
    require_finite(network, f"{source}/{name}")
    return network


def _weights(source: str | Path, name: str, options: Mapping[str, Any]) -> Path | None:
    """A file with weights of a part of a base; None where there is none, or on the hub not one for all."""
    stem, variant = "model" if name.startswith("text") else "diffusion_pytorch_model", options.get("variant")
    if Path(source).is_dir():
        middle = rf".*\.{re.escape(variant)}.*" if variant else r"(-\d+-of-\d+)?"
        files = sorted((Path(source) / name).glob("*.safetensors"))
        return next(
            (file for file in files if re.fullmatch(rf"{stem}{middle}\.safetensors", file.name)), None
        )
    file = ".".join(filter(None, (stem, variant, "safetensors")))
    once = {key: value for key, value in hub_options(options).items() if key != "force_download"}
    try:
        return Path(hf_hub_download(str(source), file, subfolder=name, **once))
    except (OSError, HfHubHTTPError):  # what is wrong with it is said by what opens the network
        return None


def _stored_precision(file: Path | None) -> torch.dtype:
    """Half precision, where all that a safetensors file holds is stored in it; float32 otherwise."""
    if file is None:
        return torch.float32
    with safe_open(file, framework="pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
    kinds -= {"I64", "I32"}  # counters and positions
    return {("F16",): torch.float16, ("BF16",): torch.bfloat16}.get(tuple(kinds), torch.float32)


def _open_tokenizer(source: str | Path, name: str, options: Mapping[str, Any]) -> Any:
    """A tokenizer with words: of a folder without its files transformers makes one that knows none."""
    tokenizer = transformers.CLIPTokenizer.from_pretrained(source, subfolder=name, **hub_options(options))
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(
            f"{source}/{name} has neither tokenizer.json nor vocab.json, so that no word is read. Copy or "
            "download the whole model again."
        )
    return tokenizer


def _assemble(family: Family, parts: dict[str, Any], index: Mapping[str, Any]) -> Any:
    if family == "sd":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if family == "sdxl":
        parts["force_zeros_for_empty_prompt"] = index.get("force_zeros_for_empty_prompt", True)
    if family == "ldm" and "vae" in parts:
        parts["vqvae"] = parts.pop("vae")
    wanted = inspect.signature(PIPELINES[family]).parameters
    return PIPELINES[family](**{name: part for name, part in parts.items() if name in wanted})


def _family(parts: set[str], index: Mapping[str, Any], source: str | Path) -> Family:
    """Told by what a folder holds, not by its class name: a model's img2img pipeline holds the same."""
    needs: dict[Family, set[str]] = {
        "sdxl": {"text_encoder_2", "text_encoder", "tokenizer_2", "tokenizer", "vae", "unet", "scheduler"},
        "sd": {"text_encoder", "tokenizer", "vae", "unet", "scheduler"},
        "ldm": {"vqvae", "unet", "scheduler"},
        "ddpm": {"unet", "scheduler"},
    }
    if "vae" in parts and "text_encoder" not in parts:
        parts = parts | {"vqvae"}
    for family, wanted in needs.items():
        if wanted <= parts:
            return family
    kind = index.get("_class_name", "a pipeline")
    raise InputError(f"{source} holds a {kind}, which is not supported: use {SUPPORTED}.")


def _require_supported(pipe: Any, source: str | Path) -> None:
    config = pipe.unet.config
    latent = any(getattr(pipe, name, None) is not None for name in ("vae", "vqvae"))
    if not latent and config.out_channels != 3:
        raise InputError(f"{source} paints {config.out_channels} channels, not red, green and blue.")
    if config.in_channels != config.out_channels:
        raise InputError(
            f"The U-Net of {source} takes {config.in_channels} channels and gives {config.out_channels} (an "
            "inpainting model or learned variances): use the plain text-to-image model."
        )


def _scheduler_class(kind: str, source: str | Path) -> Any:
    found = getattr(diffusers, kind, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        raise InputError(f"The scheduler {kind!r:.60} of {source} is unknown: name one of diffusers.")
    return found


def only_half(folder: Path) -> bool:
    """Whether a local folder holds nothing but the half-precision variant."""
    names = [file.name for file in folder.glob("*.safetensors")]
    return bool(names) and all(".fp16." in name for name in names)


def hub_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that concern the hub, for what has no weights."""
    names = ("cache_dir", "force_download", "local_files_only", "revision", "token")
    return {name: options[name] for name in names if name in options}
