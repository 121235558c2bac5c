"""Prompts that diffusers' own `encode_prompt` cannot do: beyond the text encoder's context, or weighted.

Both are done by compel (https://github.com/damian0815/compel). It cuts a long prompt between sentences,
phrases or words into chunks that fit, whose embeddings stand one behind the other. A weight moves those of
its words away from those of an empty prompt, or below 1 towards those of the prompt without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mcm_core.base.embeddings import Embeddings, filled
from mcm_core.emphasis import Part

UNCUT = "sequence-length-is-longer-than-the-specified-maximum"
"""Of the tokenizer's warning, which does not hold here."""


class LongPrompts:
    """The text encoders of a Stable Diffusion or SDXL pipeline, for any length and weighted parts."""

    def __init__(self, pipe: Any) -> None:
        pairs = [("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")]
        found: list[list[Any]] = [[getattr(pipe, name, None) for name in pair] for pair in pairs]
        self._pairs = [(tokenizer, encoder) for tokenizer, encoder in found if encoder is not None]
        for tokenizer, _ in self._pairs:
            tokenizer.deprecation_warnings[UNCUT] = True

    def are_needed_for(self, parts: Sequence[Part]) -> bool:
        """Whether a prompt in these parts is too long for one context, or weighted."""
        return any(part.weight != 1 for part in parts) or any(
            len(tokenizer(parts[0].text)["input_ids"]) > tokenizer.model_max_length
            for tokenizer, _ in self._pairs
        )

    @cached_property
    def _encoders(self) -> list[Any]:
        """In compel's hands, as each family of models takes them."""
        from compel import Compel, ReturnedEmbeddingsType

        kind = (
            ReturnedEmbeddingsType.LAST_HIDDEN_STATES_NORMALIZED
            if len(self._pairs) == 1
            else ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
        )
        return [
            Compel(*pair, truncate_long_prompts=False, returned_embeddings_type=kind) for pair in self._pairs
        ]

    @torch.no_grad()
    def encode(self, parts: Sequence[Part]) -> Embeddings:
        """Of one prompt; of its `pooled` embedding SDXL reads only the first context, unweighted."""
        hidden = [_hidden(encoder, parts) for encoder in self._encoders]
        padding = [encoder.build_conditioning_tensor("") for encoder in self._encoders]
        longest = max(tensor.shape[1] for tensor in hidden)
        both = [filled(tensor, empty, longest) for tensor, empty in zip(hidden, padding, strict=True)]
        pooled = None
        if len(self._pairs) == 2:
            whole = "".join(part.text for part in parts)
            pooled = self._encoders[1].conditioning_provider.get_pooled_embeddings([whole])
        return Embeddings(torch.cat(both, dim=-1), pooled, torch.cat(padding, dim=-1))


def _hidden(encoder: Any, parts: Sequence[Part]) -> Tensor:
    """(1, n * L, D)"""
    from compel.prompt_parser import FlattenedPrompt

    read = encoder.conditioning_provider.get_token_ids
    texts = [(part.text, part.weight) for part in parts]
    said = [pair for pair in texts if read([pair[0]], include_start_and_end_markers=False)[0]]
    (hidden, _), _ = encoder.build_conditioning_tensor_for_prompt_object(FlattenedPrompt(said))
    return hidden
