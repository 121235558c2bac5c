"""The look: the palette of palette.css, system fonts (nothing is fetched from elsewhere), light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import gradio as gr

FOLDER = Path(__file__).parent
PALETTE = (FOLDER / "palette.css").read_text(encoding="utf-8")
CSS = PALETTE + "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "sight.css"))
HEAD = '<meta name="color-scheme" content="light dark">'
FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACE = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
COLORS = {
    "body_background_fill": "page",
    "body_text_color": "text",
    "body_text_color_subdued": "soft",
    "input_background_fill": "card",
    "input_placeholder_color": "soft",
    "input_border_color": "line",
    "input_border_color_focus": "accent",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent-hover",
    "button_primary_text_color": "on-accent",
    "button_cancel_background_fill": "text",
    "button_cancel_background_fill_hover": "soft",
    "button_cancel_text_color": "page",
    "slider_color": "accent",
}
"""Gradio's name -> ours in the palette."""


def colors(block: str) -> dict[str, str]:
    """name -> "#rrggbb" of the palette's first rule for `block`, ":root" or ".dark"."""
    rule = PALETTE[PALETTE.index(f"\n{block}") :].partition("}")[0]
    return dict(re.findall(r"--mcm-([\w-]+): (#[0-9a-f]{6});", rule))


def theme() -> gr.themes.Base:
    light, dark = colors(":root"), colors(".dark")
    base = gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", radius_size="lg", font=FONT, font_mono=MONOSPACE
    )
    return base.set(
        **{name: light[ours] for name, ours in COLORS.items()},
        **{f"{name}_dark": dark[ours] for name, ours in COLORS.items()},
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_padding="0px",
        block_shadow="none",
        layout_gap="12px",
    )
