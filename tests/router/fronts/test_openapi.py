"""The parameter table: nothing missing, and its two pages are current."""

import ast
import importlib.util
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import orjson
import pytest
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

from router.fronts.openai.kinds import Fixed
from router.fronts.openai.openapi import document, parameters_page
from router.fronts.openai.parameters import PARAMETERS, Api, rows

ROOT = Path(__file__).resolve().parents[3]


def names(api: Api) -> set[str]:
    return {row.name for row in rows(api)}


def test_the_parameters_page_is_current() -> None:
    assert (ROOT / "docs/parameters.md").read_text() == parameters_page(), "run the command in its first lines"


def test_no_endpoint_has_a_name_twice() -> None:
    apis: tuple[Api, ...] = ("chat", "completions", "embeddings")
    for api in apis:
        listed = [row.name for row in rows(api)]
        assert len(listed) == len(set(listed))


def test_every_parameter_of_openai_is_in_the_table() -> None:
    assert chat_create_params.CompletionCreateParamsBase.__annotations__.keys() <= names("chat")
    assert completion_create_params.CompletionCreateParamsBase.__annotations__.keys() <= names("completions")
    assert embedding_create_params.EmbeddingCreateParams.__annotations__.keys() <= names("embeddings")


@pytest.mark.parametrize(
    ("file", "name", "api"),
    [("chat_completion", "ChatCompletionRequest", "chat"), ("completion", "CompletionRequest", "completions")],
)
def test_every_parameter_of_vllm_is_in_the_table(file: str, name: str, api: Api) -> None:
    """Read from vLLM's source where it is installed: importing it takes seconds."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        pytest.skip("vLLM is not installed")
    source = Path(spec.origin).parent / "entrypoints/openai" / file / "protocol.py"
    (found,) = [n for n in ast.parse(source.read_text()).body if isinstance(n, ast.ClassDef) and n.name == name]
    fields = {n.target.id for n in found.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    taken = {field for field in fields if not field.startswith("_")}
    assert "temperature" in taken
    assert taken <= names(api)


def test_the_document_is_json_schema_that_agrees_with_the_reader() -> None:
    schemas = orjson.loads(document())["components"]["schemas"]
    for api in ("chat", "completions", "embeddings"):
        validator = jsonschema.Draft202012Validator(schemas[api])
        validator.check_schema(schemas[api])
        assert not validator.is_valid({})
    chat = jsonschema.Draft202012Validator(schemas["chat"])
    good = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    for fields, valid in (({}, True), ({"n": None}, True), ({"n": 0}, False), ({"stop": "a"}, True), ({"zzz": 1}, False)):
        assert chat.is_valid({**good, **fields}) == valid


def test_rows_that_need_a_reason_have_one() -> None:
    assert all(row.note for row in PARAMETERS if isinstance(row.kind, Fixed))
    assert all(isinstance(row.kind, Fixed) == (row.goes == "refused") for row in PARAMETERS)
