"""The page's own components: how modules become Gradio's one text, and what their files may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from demo import theme
from demo.canvas import Canvas
from demo.component import FOLDER, Component, bundle
from demo.memory import Memory
from demo.strip import Strip
from demo.viewer import Viewer
from demo.words import Words

SCRIPTS = sorted(FOLDER.rglob("*.js"))
STYLES = sorted(FOLDER.rglob("*.css"))
COMPONENTS: list[Component] = [Canvas(), Viewer(), Strip(label=""), Memory(), Words([], "", [])]


def modules(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.js").write_text(text + "\n", encoding="utf-8")
    return folder / "main.js"


def test_a_module_runs_once_after_what_it_imports_and_keeps_what_it_does_not_export(tmp_path: Path) -> None:
    text = bundle(
        modules(
            tmp_path,
            main='import { left } from "./left.js";\nimport { right } from "./right.js";\n'
            "export const mount = 1;",
            left='import { deep } from "./deep.js";\nexport const left = deep;\nconst own = 1;',
            right='import {\n  deep,\n} from "./deep.js";\nexport const right = deep;\nconst own = 2;',
            deep="export const deep = 7;",
        )
    )
    constants = re.findall(r"^const \$\w+_(\w+) = \(\(\) =>", text, re.MULTILINE)
    assert constants == ["deep", "left", "right", "main"]
    assert not re.search(r"^(import|export)", text, re.MULTILINE)
    assert text.endswith("main.mount({ element, trigger, props, upload, watch });")


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ({"main": 'import { a } from "./b.js";', "b": 'import { b } from "./main.js";'}, "circle"),
        ({"main": 'import { a } from "./b.js";', "b": "const a = 1;"}, "b.js does not export a"),
        ({"main": 'import a from "./b.js";', "b": ""}, "does not read"),
        ({"main": 'import { a as b } from "./b.js";', "b": "export const a = 1;"}, "does not export"),
        ({"main": "export let a = 1;"}, "does not read"),
        ({"main": "const a = 1;\nexport { a };"}, "does not read"),
    ],
)
def test_what_the_bundler_does_not_read_is_an_error(
    tmp_path: Path, texts: dict[str, str], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        bundle(modules(tmp_path, **texts))


def test_every_script_is_sent() -> None:
    sent = "".join(component.js_on_load for component in COMPONENTS)
    assert not [path.name for path in SCRIPTS if f"${path.parent.name}_{path.stem} = " not in sent]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_markup_is_never_made_from_text(script: Path) -> None:
    dangerous = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\bFunction\("
    assert not re.search(dangerous, script.read_text(encoding="utf-8"))


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda made: type(made).__name__)
def test_the_style_survives_being_a_template(component: Component) -> None:
    assert not re.search(r"`|\\|\$\{|\{\{", component.css_template)


def test_every_colour_and_size_that_styles_use_is_in_the_palette() -> None:
    used = {name for style in STYLES for name in re.findall(r"var\((--mcm-[\w-]+)", style.read_text("utf-8"))}
    there = set(re.findall(r"^  (--mcm-[\w-]+):", theme.PALETTE, re.MULTILINE))
    assert used | {f"--mcm-{ours}" for ours in theme.COLORS.values()} == there


def test_gradio_has_the_colours_of_the_palette() -> None:
    light, dark = theme.colors(":root"), theme.colors(".dark")
    assert light.keys() == dark.keys()
    made = theme.theme()
    assert (made.slider_color, made.slider_color_dark) == (light["accent"], dark["accent"])
