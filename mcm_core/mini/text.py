"""The words of the embedded base: a CLIP tokenizer learned from captions, and a small CLIP text encoder."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from mcm_core.landscapes.captions import vocabulary

CONTEXT = 77  # tokens of a prompt, its two ends included: as many as Stable Diffusion's
SUFFIX = "</w>"  # CLIP's mark for the end of a word
START, END = "<|startoftext|>", "<|endoftext|>"


def known_words() -> list[str]:
    """Every word that a caption of the embedded world can use, so that each becomes one token."""
    return sorted(vocabulary())


def learn_tokenizer(captions: Iterable[str], merges: int = 1500) -> CLIPTokenizer:
    """Byte-pair merges in CLIP's form: any text has tokens, and the captions' own words have one each."""
    learner = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), ByteLevel(add_prefix_space=False)]
    )
    letters = sorted(ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(letters) + merges,
        initial_alphabet=letters,
        end_of_word_suffix=SUFFIX,
        show_progress=False,
    )
    learner.train_from_iterator((text.lower() for text in captions), trainer)
    learned = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [
        *letters,
        *(letter + SUFFIX for letter in letters),
        *("".join(pair) for pair in learned),
        START,
        END,
    ]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=learned, model_max_length=CONTEXT)


def build_text_encoder(tokenizer: CLIPTokenizer, width: int = 192) -> CLIPTextModel:
    """Three layers, trained together with the denoiser."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=6,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)
