"""What the page's own components share: a folder with ES modules and a style, as Gradio wants them.

Gradio runs one text as the body of a function, where nothing can be imported. `bundle` makes that text of
modules: each becomes a constant that holds what it exports, after those that it imports. There is no build
step, and the files are what a browser or node would load without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent
READY = "() => { document.body.dataset.state = 'ready'; }"
"""For the event that comes last when a page opens: the page says that it has settled."""

_IMPORT = re.compile(r'^import \{([\w\s,]+)\} from "(\.[\w./-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function\*?|class|const) (\w+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(entry: Path) -> str:
    """The body of a function (element, trigger, props, server, upload, watch) that calls `mount` of `entry`.

    Raises:
        ValueError: a module imports in a circle or what is not exported, or in another form than
            `import { a, b } from "./file.js";` and `export` before a function, class or const.
    """
    exports: dict[Path, list[str]] = {}
    parts: list[str] = []

    def add(path: Path, importers: tuple[Path, ...]) -> None:
        if path in importers:
            raise ValueError(f"{path.name}: modules import each other in a circle")
        if path in exports:
            return
        text = path.read_text(encoding="utf-8")

        def imported(match: re.Match[str]) -> str:
            source = (path.parent / match[2]).resolve()
            add(source, (*importers, path))
            names = [name for name in re.split(r"[\s,]+", match[1]) if name]
            if missing := set(names) - set(exports[source]):
                raise ValueError(f"{path.name}: {source.name} does not export {', '.join(sorted(missing))}")
            return f"const {{ {', '.join(names)} }} = {_constant(source)};"

        exported = _EXPORT.findall(text)
        text = _EXPORT.sub("", _IMPORT.sub(imported, text))
        if other := _OTHER.search(text):
            raise ValueError(f"{path.name}: the bundler does not read {other[0]!r}")
        exports[path] = exported
        parts.append(
            f"const {_constant(path)} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();\n"
        )

    add(entry.resolve(), ())
    return (
        "".join(parts) + f"{_constant(entry.resolve())}.mount({{ element, trigger, props, upload, watch }});"
    )


def _constant(path: Path) -> str:
    """canvas/main.js -> $canvas_main"""
    return "$" + re.sub(r"\W", "_", f"{path.parent.name}/{path.stem}")


@cache
def _texts(folder: Path) -> tuple[str, str]:
    """The style and the script of a component's folder; Gradio makes a component anew whenever it changes."""
    styles = (FOLDER / "component.css", folder / f"{folder.name}.css")
    return "\n".join(style.read_text(encoding="utf-8") for style in styles), bundle(folder / "main.js")


class Component(gr.HTML):
    """A component whose `folder` holds main.js, which exports `mount`, and a style of the folder's name.

    The style is scoped to the component by Gradio and builds on component.css; colours, radii and distances
    are those of palette.css, which the page has to hold.
    """

    folder: Path

    def __init__(
        self,
        value: Any | Callable | None = None,
        *,
        label: str | None = None,
        props: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        vars(self).update(props or {})  # else gr.HTML takes any name that the script quotes for an event
        name = self.folder.name
        style, script = _texts(self.folder)
        super().__init__(
            value=value,
            label=label,
            html_template=f'<div class="mcm-{name}"></div>',
            css_template=style,
            js_on_load=script,
            apply_default_css=False,
            **(props or {}),
            **kwargs,
        )

    def preprocess(self, payload: Any) -> Any:
        """Nothing: what the page shows is no input."""

    def postprocess(self, value: Any) -> Any:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
