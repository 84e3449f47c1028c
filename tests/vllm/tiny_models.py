"""Random checkpoints of about a megabyte, made here without a network: for what does not depend on what a model says."""

import json
import random
from pathlib import Path

VOCABULARY = 1024
SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_llama(folder: Path) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    return _make(folder, LlamaForCausalLM, LlamaConfig(**_config(), num_key_value_heads=1))


def make_mixtral(folder: Path) -> Path:
    """Four experts, two of them per token."""
    from transformers import MixtralConfig, MixtralForCausalLM

    return _make(folder, MixtralForCausalLM, MixtralConfig(**_config(), num_key_value_heads=1, num_local_experts=4))


def _config() -> dict[str, object]:
    return {**SHAPE, "vocab_size": VOCABULARY, "max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": 1}


def _make(folder: Path, model_class: type, config: object) -> Path:
    import torch

    torch.manual_seed(7)
    folder.mkdir(parents=True)
    model_class(config).save_pretrained(folder)  # type: ignore[call-arg]
    _make_tokenizer(folder)
    return folder


def _make_tokenizer(folder: Path) -> None:
    """Byte-level BPE over the standard library's own text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken("<s>", special=True), AddedToken("</s>", special=True)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    sources = (random.__file__, json.__file__)
    tokenizer.train_from_iterator((Path(source).read_text() for source in sources), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
