"""Turns one GGUF file into the folder that Hugging Face loaders and vLLM read: weights, config and tokenizer.

Knows the llama architecture with a byte-level BPE tokenizer, and refuses every other by name. Needs `gguf`, `safetensors` and
`tokenizers`, which vLLM brings; not torch. Quantised weights become float16: vLLM's own GGUF kernels do not run on a CPU.
Names and layouts follow the GGUF specification and llama.cpp's converter.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cli.errors import CommandError
from cli.fetching.progress import Report, Step, silent

Array = npt.NDArray[Any]

_OUTSIDE_LAYERS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_PRE_TOKENIZERS = ("smollm", "gpt-2")
_CONTROL_TOKEN = 3
_WANTED = "`make vllm` in a clone brings them; elsewhere: pip install gguf safetensors tokenizers"


@dataclass(frozen=True)
class Source:
    """What a GGUF file says about itself, by key."""

    path: Path
    fields: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        if key not in self.fields:
            raise CommandError(f"{self.path.name} has no field {key}; its model cannot be converted")
        return self.fields[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.fields.get(key, default)


def convert(source: Path, folder: Path, report: Report = silent) -> None:
    """Writes config.json, generation_config.json, tokenizer.json, tokenizer_config.json and model.safetensors into `folder`.

    Raises CommandError for a model that it does not know, and where a package is missing.
    """
    try:
        from gguf import GGUFReader
        from safetensors.numpy import save_file
    except ImportError as missing:
        raise CommandError(f"Converting a model needs the package {missing.name}", todo=_WANTED) from missing
    reader = GGUFReader(source)
    about = Source(source, _Fields(reader.fields))
    _refuse_unknown(about)
    folder.mkdir(parents=True, exist_ok=True)
    weights = dict(_weights(reader.tensors, about, report))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors lets the owner alone read it
    tied = "lm_head.weight" not in weights
    _write(folder / "config.json", _config(about, tied))
    _write(folder / "generation_config.json", _token_ids(about))
    _write(folder / "tokenizer_config.json", _tokenizer_config(about))
    _tokenizer(about).save(str(folder / "tokenizer.json"))


class _Fields(Mapping[str, Any]):
    """gguf's fields, read when asked for: a vocabulary takes seconds to decode."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getitem__(self, key: str) -> Any:
        return self._fields[key].contents()

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def _refuse_unknown(about: Source) -> None:
    known = {"general.architecture": ("llama",), "tokenizer.ggml.model": ("gpt2",), "tokenizer.ggml.pre": _PRE_TOKENIZERS}
    for key, values in known.items():
        if about[key] not in values:
            raise CommandError(f"{about.path.name}: {key} is {about[key]!r}; only {' and '.join(values)} can be converted")


def _weights(tensors: Any, about: Source, report: Report) -> Iterator[tuple[str, Array]]:
    from gguf import dequantize

    heads, kv_heads = about["llama.attention.head_count"], about["llama.attention.head_count_kv"]
    total, done = sum(int(tensor.n_bytes) for tensor in tensors), 0
    for tensor in tensors:
        report(Step("Converting the weights to float16", done, total))
        weight = dequantize(tensor.data, tensor.tensor_type)
        part = tensor.name.split(".")[-2]
        if part in ("attn_q", "attn_k"):
            weight = _halves_apart(weight, heads if part == "attn_q" else kv_heads)
        yield _name(tensor.name), np.ascontiguousarray(weight, dtype=np.float16)
        done += int(tensor.n_bytes)
    report(Step("Converting the weights to float16", total, total))


def _name(name: str) -> str:
    """`blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`."""
    if name in _OUTSIDE_LAYERS:
        return _OUTSIDE_LAYERS[name]
    match name.split("."):
        case ["blk", layer, part, "weight"] if part in _IN_LAYER:
            return f"model.layers.{layer}.{_IN_LAYER[part]}.weight"
    raise CommandError(f"The GGUF file holds a tensor {name} that a llama model does not have")


def _halves_apart(weight: Array, heads: int) -> Array:
    """Each head's rows from llama.cpp's rotary order (pairs side by side) to the usual one: all firsts, then all seconds."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _config(about: Source, tied: bool) -> dict[str, Any]:
    hidden, heads = about["llama.embedding_length"], about["llama.attention.head_count"]
    theta = about["llama.rope.freq_base"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": about["llama.feed_forward_length"],
        "num_hidden_layers": about["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": about["llama.attention.head_count_kv"],
        "head_dim": hidden // heads,
        "max_position_embeddings": about["llama.context_length"],
        # Stored as a 32-bit float: 1e-5 comes back as 9.99999975e-06.
        "rms_norm_eps": float(f"{about['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "vocab_size": about.get("llama.vocab_size") or len(about["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        "dtype": "float16",
        **_token_ids(about),
    }


def _token_ids(about: Source) -> dict[str, int]:
    keys = {"bos": "bos", "eos": "eos", "pad": "padding"}
    found = {name: about.get(f"tokenizer.ggml.{key}_token_id") for name, key in keys.items()}
    return {f"{name}_token_id": token for name, token in found.items() if token is not None}


def _tokenizer(about: Source) -> Any:
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    except ImportError as missing:
        raise CommandError(f"Converting a model needs the package {missing.name}", todo=_WANTED) from missing
    tokens, kinds = about["tokenizer.ggml.tokens"], about["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in about["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges))
    split: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    if about["tokenizer.ggml.pre"] == "smollm":  # every digit is a token of its own
        split.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _tokenizer_config(about: Source) -> dict[str, Any]:
    tokens = about["tokenizer.ggml.tokens"]
    keys = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {name: about.get(f"tokenizer.ggml.{key}_token_id") for name, key in keys.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": about["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": about.get("tokenizer.chat_template"),
        **{f"{name}_token": tokens[token] for name, token in ids.items() if token is not None},
    }


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
