"""How well a modulated base follows drawings and words, and what that costs in quality and variety."""
