"""`mcm COMMAND ...`, or `python -m mcm_core COMMAND ...`: a command is imported only when it is called.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted. Errors are one line on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mcm_core import __version__


def page() -> str:
    """The name of the page's package, which lies beside this one in a checkout and inside it in a wheel."""
    beside, found = Path(__file__).parents[1] / "demo" / "__init__.py", find_spec("demo")
    return "demo" if found and found.origin == str(beside) else "mcm_core.demo"


COMMANDS = {
    "app": (f"{page()}.app", "serve the page, and say at which address"),
    "generate": ("mcm_core.generate", "make a picture from a drawing and a prompt"),
    "render": ("mcm_core.landscapes.render", "draw training scenes of the embedded world"),
    "prepare": ("mcm_core.pairs.prepare", "make training pairs of photos"),
    "dream": ("mcm_core.pairs.dream", "make training pairs by the base itself"),
    "make": ("mcm_core.make", "all of it: pairs, modulators, report and Space"),
    "train": ("mcm_core.training.modulator", "train a modulator on a frozen base"),
    "distil": ("mcm_core.training.distil", "make a modulator that needs few steps from a trained one"),
    "train-base": ("mcm_core.mini.base", "train the embedded base itself"),
    "train-preview-decoder": ("mcm_core.mini.preview_decoder", "train the small decoder of previews"),
    "train-segmenter": ("mcm_core.mini.segmenter_training", "train the network that judges pictures"),
    "fuse": ("mcm_core.fuse", "a base with LoRAs and defaults of its own, as a folder"),
    "doctor": ("mcm_core.doctor", "whether a model's files are whole, and whether a pair fits"),
    "evaluate": ("mcm_core.evaluation.run", "measure control, quality and diversity"),
}
DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


def usage() -> str:
    lines = [f"  {name:<23}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        ["usage: mcm COMMAND [options] | --version", "", *lines, "", "COMMAND --help tells more."]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    command, *rest = list(sys.argv[1:] if argv is None else argv) or [""]
    if command in ("-h", "--help", "help"):
        print(usage())
        return DONE
    if command == "--version":
        print(f"mcm {__version__}")
        return DONE
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        return _told(
            f"there is no command {command!r:.40}: choose from {known}"
            if command
            else f"say what to do: {known}",
            WRONG,
        )
    return _run(command, rest)


def _run(command: str, argv: Sequence[str]) -> int:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # advice for developers, not for people
    from mcm_core.drawing.conditions import InputError
    from mcm_core.engine import EngineError
    from mcm_core.training import TrainingError

    try:
        return int(import_module(COMMANDS[command][0]).main(argv))
    except InputError as error:
        return _told(str(error), WRONG)
    except (EngineError, TrainingError) as error:
        return _told(str(error), FAILED)
    except OSError as error:
        return _told(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), FAILED)
    except KeyboardInterrupt:
        return _told("interrupted", INTERRUPTED)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        return _told(
            "there is not enough memory for that: close other programs, or try --low-memory, a smaller batch "
            "or picture, or --device cpu, where the command has them",
            FAILED,
        )


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError)


def _told(message: str, code: int) -> int:
    print(f"mcm: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
