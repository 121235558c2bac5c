"""The model card: a README.md that says what a modulator was made from, how, for how long and how well."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mcm_core.modulator import Modulator


@dataclass(frozen=True)
class Facts:
    """What a card states besides the options; losses are means over held-out pairs on fixed noise."""

    pairs: int
    held_out: int
    processes: int
    step: int
    seconds: float
    machine: str
    loss: float | None
    plain_loss: float | None
    skipped: int
    data_fingerprint: str


def machine() -> str:
    """The kind of machine: accelerators or processor, by the maker's name."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} cores of {_processor()}"


def model_card(modulator: Modulator, options: Mapping[str, Any], facts: Facts) -> str:
    """Markdown with the front matter of the hub."""
    base = (modulator.config.base or {}).get("id", options["base"])
    named = ", ".join(one.name for one in modulator.modalities)
    parameters = sum(one.numel() for one in modulator.parameters())
    return _CARD.format(
        base=base,
        modalities=named,
        parameters=f"{parameters:,}",
        classes=", ".join(one.name for one in modulator.classes) or "none",
        training=table(_training(options, facts)),
        figures=_figures(facts, modulator.live is not None),
        options=json.dumps(dict(options), indent=2),
    )


def _training(options: Mapping[str, Any], facts: Facts) -> dict[str, str]:
    batch = options["batch_size"] * options["accumulate"] * facts.processes
    return {
        "data": f"{options['data']}, {facts.pairs:,} pairs (and {facts.held_out:,} held out)",
        "data fingerprint": facts.data_fingerprint,
        "steps": f"{facts.step:,} with {batch} pairs each: {facts.step * batch:,} samples",
        "time": f"{facts.seconds / 3600:.2f} hours",
        "machine": f"{facts.machine}, {options['precision']}",
        "seed": str(options["seed"]),
        "steps left out (not finite)": str(facts.skipped),
    }


def _figures(facts: Facts, is_live: bool) -> str:
    if facts.loss is None or facts.plain_loss is None:
        return table({"held-out loss": "not measured: no pairs were held out"})
    rival, own = ("teacher, undistilled", "distilled") if is_live else ("base alone", "modulated")
    figures = {
        f"held-out loss, {rival}": f"{facts.plain_loss:.5f}",
        f"held-out loss, {own}": f"{facts.loss:.5f}",
        "ratio": f"{facts.loss / facts.plain_loss:.3f}",
    }
    return f"{_LIVE_LOSS if is_live else _LOSS}\n\n{table(figures)}"


def table(entries: Mapping[str, str]) -> str:
    """Two columns of Markdown."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in entries.items())])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


_LOSS = """
The loss is the weighted error of the noise prediction, for fixed noise and noise levels, all drawings given.
""".strip()
_LIVE_LOSS = """
It was distilled to few unguided steps. The loss is how far its picture lies from the one that it would see a
little later on the guided teacher's way (root mean square in latents), for fixed noise and all drawings.
""".strip()
_CARD = """---
library_name: diffusers
base_model: {base}
tags: [multimodal-conditioning-module, image-generation, label-map-to-image, sketch-to-image]
---

# Modulator for {base}

A multimodal conditioning module (Ham et al., SIGGRAPH 2023) of {parameters} parameters. It modulates the
noise prediction of the frozen base `{base}` from drawn conditions: {modalities}. The base itself is not part
of this folder and was not changed.

Classes of the label map: {classes}.

## Use

```python
from mcm_core.models import open_models

pipeline = open_models(base="{base}", modulator="PATH/OF/THIS/FOLDER")    # folders or hub ids
```

## Training

{training}

## Figures

{figures}

## Options

```json
{options}
```
"""
