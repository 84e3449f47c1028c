"""The model and what answers with it: parts of a ModelPool."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from controlplane.resources.kube_model import Distinct, KubeModel, Rule
from controlplane.resources.scalars import ImageName, ModelName, ObjectName

OWN_VARIABLES = "HEADGATE_"  # prefix of the environment variables that the control plane sets


class Model(KubeModel):
    """The model, its weights and its names."""

    name: ModelName = Field(description="The name that workers serve, and that callers may ask for.")
    aliases: Annotated[list[ModelName], Distinct()] = Field(
        default=[], max_length=16, description="Further names that callers may ask for."
    )
    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Where the engine finds the weights: a hub name or a path. Default: name.",
    )
    revision: str | None = Field(default=None, min_length=1, max_length=253, description="Revision of the weights on the hub.")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.name != 'auto'",
            "auto leaves the choice to the router; no model can have that name",
            lambda m: m.name != "auto",
            "name",
        ),
        Rule(
            "!has(self.aliases) || !self.aliases.exists(a, a == 'auto' || a == self.name)",
            "auto and the model's own name can't be aliases",
            lambda m: not {"auto", m.name} & set(m.aliases),
            "aliases",
        ),
    )


class Speculation(KubeModel):
    """Speculative decoding: a cheap draft that the model checks several tokens at a time. The answer stays the same."""

    method: Literal["ngram", "suffix", "draft_model", "eagle"] = Field(description="What drafts.")
    num_speculative_tokens: int = Field(ge=1, le=64, description="Draft tokens per step.")
    model: str | None = Field(
        default=None, min_length=1, max_length=1024, description="The draft's weights, for draft_model and eagle."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.method in ['draft_model', 'eagle']) == has(self.model)",
            "model is needed for draft_model and eagle, and for them alone",
            lambda s: (s.method in ("draft_model", "eagle")) == (s.model is not None),
            "model",
        ),
    )


class SecretKey(KubeModel):
    """One key of a Secret in the same namespace."""

    name: ObjectName = Field(description="The Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="The key in its data.")]


class EnvVar(KubeModel):
    """An environment variable of the worker's container: a value, or a key of a Secret."""

    name: Annotated[
        str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The variable's name.")
    ]
    value: str | None = Field(
        default=None, max_length=32768, description="Its value, for all to see who may read the ModelPool."
    )
    secret: SecretKey | None = Field(default=None, description="The key of a Secret that holds its value.")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.value) != has(self.secret)",
            "give exactly one of value and secret",
            lambda e: (e.value is None) != (e.secret is None),
        ),
        Rule(
            f"!self.name.startsWith('{OWN_VARIABLES}')",
            f"variables that begin with {OWN_VARIABLES} are set by the control plane",
            lambda e: not e.name.startswith(OWN_VARIABLES),
            "name",
        ),
    )


class Engine(KubeModel):
    """What answers, with its settings."""

    kind: Literal["vllm", "openai_http", "simulated"] = Field(
        default="vllm",
        description="vllm: in the worker; openai_http: an OpenAI-compatible server that runs already; simulated: no weights.",
    )
    image: ImageName | None = Field(default=None, description="The worker's image. Default: the control plane's setting.")
    args: dict[str, Any] = Field(
        default={},
        max_length=128,
        description="Settings of the engine as workers/config.py names them, such as max_model_len; checked by the worker.",
    )
    url: str | None = Field(
        default=None,
        max_length=2048,
        pattern=r"^https?://[^\s\p{Z}\p{Cc}]+$",
        description="openai_http: base URL of the running server.",
    )
    env: Annotated[list[EnvVar], Distinct("name")] = Field(
        default=[], max_length=64, description="Environment variables of the worker's container."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.kind == 'openai_http') == has(self.url)",
            "url is needed for openai_http, and for it alone",
            lambda e: (e.kind == "openai_http") == (e.url is not None),
            "url",
        ),
    )
