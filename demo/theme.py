"""The look: one accent colour, system fonts (nothing is fetched from elsewhere), light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
HEAD = '<meta name="color-scheme" content="light dark">'
FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONOSPACE = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=FONT,
        font_mono=MONOSPACE,
    ).set(
        body_background_fill="#f7f7f8",
        body_background_fill_dark="#15171b",
        body_text_color="#23272e",
        body_text_color_dark="#e8eaee",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_padding="0px",
        block_shadow="none",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1c1f25",
        input_border_color="#dcdfe4",
        input_border_color_dark="#3a3f4a",
        input_border_color_focus="#0f766e",
        input_border_color_focus_dark="#2dd4bf",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#2dd4bf",
        button_primary_background_fill_hover_dark="#5eead4",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#06201d",
        button_cancel_background_fill="#23272e",
        button_cancel_background_fill_hover="#3b414b",
        button_cancel_background_fill_dark="#e8eaee",
        button_cancel_background_fill_hover_dark="#ffffff",
        button_cancel_text_color="#ffffff",
        button_cancel_text_color_dark="#15171b",
        slider_color="#0f766e",
        slider_color_dark="#2dd4bf",
        layout_gap="12px",
    )
