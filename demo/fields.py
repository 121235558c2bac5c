"""Gradio's number fields without their own, partial checks: `Request.resolved` judges every value alike.

Gradio's slider lets NaN pass, and meets text with a TypeError that reaches people as an empty error.
"""

from __future__ import annotations

from typing import Any

import gradio as gr


def _as_it_came(field: Any, payload: Any) -> Any:
    return payload


class Number(gr.Number):
    is_template, preprocess = True, _as_it_came


class Slider(gr.Slider):
    is_template, preprocess = True, _as_it_came


class Choice(gr.Dropdown):
    is_template, preprocess = True, _as_it_came


class Text(gr.Textbox):
    is_template, preprocess = True, _as_it_came


class Flag(gr.Checkbox):
    is_template, preprocess = True, _as_it_came
