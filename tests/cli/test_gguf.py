"""The converter on a tiny model that the test writes itself; the order of its rows comes from what rotary embedding means."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.errors import CommandError
from cli.fetching.gguf import convert

gguf = pytest.importorskip("gguf", reason="gguf comes with vLLM: run make vllm")
pytest.importorskip("tokenizers", reason="tokenizers comes with vLLM: run make vllm")
numpy_tensors = pytest.importorskip("safetensors.numpy", reason="safetensors comes with vLLM: run make vllm")

HIDDEN, HEADS, KV_HEADS, INNER = 32, 4, 2, 64
HEAD = HIDDEN // HEADS
TOKENS = ["<|end|>", "<|start|>", *map(chr, range(ord("0"), ord("9") + 1)), "a", "b", "Ġ", "ab", "Ġab"]
RNG = np.random.default_rng(3)


def random(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def as_llama_cpp_stores(weight: Any, heads: int) -> Any:
    """Row by row: the pair (i, i + half) of a head, which rotary embedding turns together, is stored side by side."""
    stored, half = np.empty_like(weight), weight.shape[0] // heads // 2
    for head in range(heads):
        first = head * 2 * half
        for i in range(half):
            stored[first + 2 * i] = weight[first + i]
            stored[first + 2 * i + 1] = weight[first + half + i]
    return stored


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    """By the names of Hugging Face."""
    layer = {
        "input_layernorm": random(HIDDEN),
        "post_attention_layernorm": random(HIDDEN),
        "self_attn.q_proj": random(HIDDEN, HIDDEN),
        "self_attn.k_proj": random(KV_HEADS * HEAD, HIDDEN),
        "self_attn.v_proj": random(KV_HEADS * HEAD, HIDDEN),
        "self_attn.o_proj": random(HIDDEN, HIDDEN),
        "mlp.gate_proj": random(INNER, HIDDEN),
        "mlp.up_proj": random(INNER, HIDDEN),
        "mlp.down_proj": random(HIDDEN, INNER),
    }
    outside = {"model.embed_tokens.weight": random(len(TOKENS), HIDDEN), "model.norm.weight": random(HIDDEN)}
    return outside | {f"model.layers.0.{name}.weight": weight for name, weight in layer.items()}


OUTSIDE = {"model.norm": "output_norm", "model.embed_tokens": "token_embd"}
NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.o_proj": "attn_output"}


def add(writer: Any, name: str, weight: Any) -> None:
    """Matrices of the layer as Q8_0, to have something to dequantise."""
    part = name.removeprefix("model.layers.0.")
    if part == name:
        writer.add_tensor(f"{OUTSIDE.get(part, part)}.weight", weight)
        return
    short = NAMES.get(part) or part.replace("self_attn.", "attn_").replace("mlp.", "ffn_").replace("_proj", "")
    if weight.ndim == 1:
        writer.add_tensor(f"blk.0.{short}.weight", weight)
        return
    heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(short)
    stored = as_llama_cpp_stores(weight, heads) if heads else weight
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(f"blk.0.{short}.weight", gguf.quants.quantize(stored, kind), raw_dtype=kind)


def write(path: Path, weights: dict[str, Any], **changes: str) -> Path:
    writer = gguf.GGUFWriter(path, changes.get("architecture", "llama"))
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(changes.get("pre", "smollm"))
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3] + [1] * (len(TOKENS) - 2))
    writer.add_token_merges(["a b", "Ġ ab"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_chat_template("{{ messages }}")
    for name, weight in weights.items():
        add(writer, name.removesuffix(".weight"), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, Any]) -> Path:
    place = tmp_path_factory.mktemp("gguf")
    convert(write(place / "tiny.gguf", weights), place / "model")
    return place / "model"


def test_weights(folder: Path, weights: dict[str, Any]) -> None:
    converted = numpy_tensors.load_file(folder / "model.safetensors")
    assert converted.keys() == weights.keys()
    for name, weight in weights.items():
        assert converted[name].dtype == np.float16
        # Q8_0 keeps a 127th of the largest of 32 numbers.
        np.testing.assert_allclose(converted[name].astype(np.float32), weight, atol=0.02, err_msg=name)


def test_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    expected = {
        "architectures": ["LlamaForCausalLM"],
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100_000.0,
        "tie_word_embeddings": True,
        "eos_token_id": 0,
        "vocab_size": len(TOKENS),
    }
    assert {key: config[key] for key in expected} == expected
    assert json.loads((folder / "generation_config.json").read_text()) == {"bos_token_id": 1, "eos_token_id": 0}


def test_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoded = tokenizer.encode("ab ab12<|end|>")
    assert encoded.tokens == ["ab", "Ġab", "1", "2", "<|end|>"]
    assert tokenizer.decode(encoded.ids) == "ab ab12"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert (config["eos_token"], config["bos_token"], config["chat_template"]) == ("<|end|>", "<|start|>", "{{ messages }}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "mamba"}, "general.architecture is 'mamba'; only llama"),
        ({"pre": "tekken"}, "tokenizer.ggml.pre is 'tekken'; only smollm and gpt-2"),
    ],
)
def test_unknown_models_are_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        convert(write(tmp_path / "other.gguf", {}, **changes), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_unknown_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"a tensor rope_freqs\.weight"):
        convert(write(tmp_path / "other.gguf", {"rope_freqs.weight": random(HEAD)}), tmp_path / "model")
