"""Training: a modulator on any frozen base, and how the embedded base itself was made."""
