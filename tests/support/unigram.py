"""A small tokenizer of the kind that multilingual encoders have."""

import string
from collections.abc import Sequence
from typing import Any

MARKS = ("<s>", "<pad>", "</s>", "<unk>")
LETTERS = (*MARKS, "\u2581", *string.ascii_lowercase, *string.digits, "ü", "ß")
_SPECIAL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def unigram(pieces: Sequence[str] = LETTERS) -> dict[str, Any]:
    """The content of its tokenizer.json; the later a piece stands, the less likely it is. The marks come first."""
    space = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": mark} | _SPECIAL for number, mark in enumerate(MARKS)],
        "normalizer": None,
        "pre_tokenizer": space,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {
                mark: {"id": mark, "ids": [pieces.index(mark)], "tokens": [mark]} for mark in ("<s>", "</s>")
            },
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": [[piece, -float(n)] for n, piece in enumerate(pieces)]},
    }
