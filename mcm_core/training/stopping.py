"""SIGTERM and Ctrl+C as a wish to stop after the current step, agreed on by all processes."""

import signal
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While it is entered, signals are noted instead of obeyed; off the main thread it does nothing."""

    signal = 0
    """The number of the signal that came, 0 where none did."""

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self.accelerator = accelerator

    def __enter__(self) -> "Stop":
        self._before: dict[int, Any] = {}
        for number in SIGNALS:
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Whether any process was asked to stop; all give the same answer at the same step."""
        if self.accelerator is not None and self.accelerator.num_processes > 1:
            noted = torch.tensor([float(self.signal)], device=self.accelerator.device)
            self.signal = int(self.accelerator.gather(noted).max())
        return self.signal != 0

    @staticmethod
    def ignore(worker: int) -> None:
        """For worker processes of a data loader, which end with the process that they work for."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
