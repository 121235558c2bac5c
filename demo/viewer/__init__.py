"""Where the picture appears: its forming, the comparison, where the modulator acted, how it was followed.

The value is a view as `demo.views` makes it. The browser never sends it back. As in `demo.canvas`, the
scripts are joined and share one scope.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

_FOLDER = Path(__file__).parent
_SCRIPTS = ("../dom.js", "colors.js", "result.js", "compare.js", "action.js", "followed.js", "main.js")


def script() -> str:
    """The body of a JavaScript function of (element, trigger, props, server, upload, watch)."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS)


class Viewer(gr.HTML):
    """Shows a view. Event: `compare`, when a person asks for the plain pictures and there are none yet."""

    def __init__(self, width: int = 256, height: int = 256, **kwargs: Any) -> None:
        self.width, self.height = width, height
        super().__init__(
            html_template='<div class="mcm-viewer"></div>',
            css_template=(_FOLDER / "viewer.css").read_text(encoding="utf-8"),
            js_on_load=script(),
            apply_default_css=False,
            width=width,
            height=height,
            **kwargs,
        )

    def preprocess(self, payload: Any) -> None:
        """Nothing: what the page shows is no input."""

    def postprocess(self, value: Any) -> Any:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
