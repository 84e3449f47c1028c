"""What the fields of a topology file are made of."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("a key's SHA-256 is 64 hex digits")
    return text


Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, AfterValidator(_digest)]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]
