"""Training: a modulator on any frozen base, and how the embedded base itself was made."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what to do. The last checkpoint is intact."""
