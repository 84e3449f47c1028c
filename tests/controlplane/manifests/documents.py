"""Random ModelPools that the schema takes, and whose engine arguments the worker takes."""

from typing import Any

from hypothesis import strategies as st

from controlplane.world import Platform

QUANTITIES = st.sampled_from(["1", "0.5", "1500m", "1000m", "2Gi", "1024Mi", "1.5Gi", "0.3Gi", "64G", "1000k"])
SIZES = st.sampled_from(["1Gi", "2048Mi", "1.5Gi", "100G", "0.5Ti"])
WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
NAMES = st.from_regex(r"\A[a-z]([-a-z0-9]{0,48}[a-z0-9])?\Z")
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20)
MODELS = TEXTS.filter(lambda name: name != "auto")

ENV = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["A", "HF_HOME", "HOME", "POD_NAME"]), "value": st.text("a$()", max_size=4)}
        ),
        st.fixed_dictionaries({"name": WORDS.map("B_{}".format), "secret": st.just({"name": "keys", "key": "token"})}),
    ),
    max_size=4,
    unique_by=lambda one: one["name"],
)
ARGUMENTS = {
    "vllm": st.fixed_dictionaries(
        {},
        optional={
            "max_model_len": st.integers(1, 10**6),
            "dtype": st.sampled_from(["auto", "bfloat16"]),
            "chat_template": TEXTS,
            "tensor_parallel_size": st.integers(1, 8),
            "extra_engine_args": st.dictionaries(
                st.sampled_from(["revision", "pipeline_parallel_size", "seed", "kv_cache_dtype"]), st.integers() | TEXTS
            ),
        },
    ),
    "simulated": st.fixed_dictionaries({}, optional={"profile": st.just("h100-70b"), "max_running": st.integers(1, 512)}),
    "openai_http": st.fixed_dictionaries(
        {}, optional={"dialect": st.sampled_from(["vllm", "tgi"]), "start_s": st.floats(1, 60)}
    ),
}
SPECULATION = st.one_of(
    st.fixed_dictionaries({"method": st.sampled_from(["ngram", "suffix"]), "numSpeculativeTokens": st.integers(1, 32)}),
    st.fixed_dictionaries({"method": st.just("eagle"), "numSpeculativeTokens": st.integers(1, 32), "model": TEXTS}),
)
TOLERATIONS = st.lists(
    st.one_of(
        st.just({"operator": "Exists"}),
        st.fixed_dictionaries({"key": WORDS}, optional={"value": st.just("") | WORDS, "effect": st.just("NoSchedule")}),
    ),
    max_size=2,
)
CACHES = st.one_of(
    st.fixed_dictionaries(
        {"claimSize": SIZES}, optional={"storageClass": WORDS, "accessMode": st.sampled_from(["ReadWriteOnce", "ReadOnlyMany"])}
    ),
    st.fixed_dictionaries({"existingClaim": WORDS}),
    st.fixed_dictionaries({"image": WORDS, "mountPath": st.just("/weights")}),
)
PLATFORMS = st.builds(
    Platform,
    worker_image=WORDS,
    image_pull_secrets=st.lists(WORDS, max_size=2, unique=True).map(tuple),
    service_account=st.just("") | WORDS,
    tls_secret=st.just("") | WORDS,
    worker_port=st.sampled_from([7000, 7777]),
    labels=st.dictionaries(WORDS, WORDS, max_size=2),
    endpoint_picker=st.sampled_from(["", "picker", "picker:9010"]),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A ModelPool's spec as the resource has it."""
    kind = draw(st.sampled_from(sorted(ARGUMENTS)))
    runtime = draw(st.sampled_from(["Deployment", "Deployment", "RayService"]))
    tensor, pipeline = draw(st.sampled_from([(1, 1), (2, 1), (4, 2)]))
    engine = {"kind": kind, "args": draw(ARGUMENTS[kind]), "env": draw(ENV)}
    if kind == "openai_http":
        engine["url"] = "http://server:8000/v1"
    names, ranks = draw(st.lists(MODELS, min_size=1, max_size=3, unique=True)), tensor * pipeline
    document: dict[str, Any] = {
        "model": {"name": names[0], "aliases": names[1:]},
        "tier": "moe",
        "engine": engine,
        "parallelism": {"tensor": tensor, "pipeline": pipeline, "expert": draw(st.booleans())},
        "hardware": {
            "gpus": draw(st.sampled_from([0, ranks, 8])),
            "cpu": draw(QUANTITIES),
            "memory": draw(QUANTITIES),
            "nodeSelector": draw(st.dictionaries(WORDS, st.just("") | WORDS, max_size=2)),
            "tolerations": draw(TOLERATIONS),
            "spread": draw(st.sampled_from(["none", "hosts", "zones"])),
        },
        "drainSeconds": draw(st.sampled_from([0, 1, 60, 86400])),
        "runtime": runtime,
        "inferencePool": draw(st.booleans()),
    }
    for name, values in (("speculation", SPECULATION), ("cache", CACHES)):
        if draw(st.booleans()):
            document[name] = draw(values)
    if draw(st.booleans()):
        document["hardware"]["sharedMemory"] = draw(SIZES)
    if runtime == "RayService" and draw(st.booleans()):
        document["ray"] = {"nodes": draw(st.integers(1, 4 if kind == "vllm" else 1)), "headMemory": draw(QUANTITIES)}
    return document
