"""Gradio's number fields without their own, partial checks: `Request.resolved` judges every value alike.

Gradio's slider lets NaN pass, and meets text with a TypeError that reaches people as an empty error.
"""

from __future__ import annotations

from typing import Any

import gradio as gr


class Number(gr.Number):
    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Slider(gr.Slider):
    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Choice(gr.Dropdown):
    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Text(gr.Textbox):
    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload


class Flag(gr.Checkbox):
    is_template = True

    def preprocess(self, payload: Any) -> Any:
        return payload
