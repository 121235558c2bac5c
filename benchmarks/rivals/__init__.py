"""The modulator beside other ways to the same control: one base, the same pairs, the same minutes."""
