"""Strings and numbers that several kinds are made of. Patterns are such that Go and Rust, which check them, mean the same."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _without_nulls(given: Any) -> Any:
    """The API server prunes them from maps too."""
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


Seconds = Annotated[int, Field(ge=0, le=86400)]
Count = Annotated[int, Field(ge=0, le=10000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Usd = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
# What callers may write as `model`: no white space (Go's \s is ASCII alone), no control characters.
ModelName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s\p{Z}\p{Cc}]+$")]
# Kubernetes' own: a DNS label, an object's name (DNS subdomain), a label's value, an image, quantities.
DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
LabelMap = Annotated[dict[str, LabelValue], BeforeValidator(_without_nulls)]
ImageName = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][-A-Za-z0-9._/:@]*$")]
Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")]
Size = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        pattern=r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
    ),
]  # a quantity of bytes, more than none
