"""The parameter table: nothing missing, and its two pages are current."""

import ast
import importlib.util
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import orjson
import pytest
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

from router.errors import InvalidRequest
from router.fronts.openai.about import budget_objects, offer_object
from router.fronts.openai.kinds import Fixed
from router.fronts.openai.openapi import document, parameters_page
from router.fronts.openai.parameters import PARAMETERS, Api, rows
from router.fronts.openai.request import read_feedback
from router.fronts.openai.schemas import QUOTE
from tests.router.fronts.http_fakes import BUDGETS, OFFER

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


def test_the_schemas_of_our_own_endpoints_are_schemas_that_agree_with_what_is_sent() -> None:
    paths = orjson.loads(document())["paths"]

    def validator(schema: dict[str, object]) -> jsonschema.Draft202012Validator:
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)

    verdict = validator(paths["/v1/headgate/feedback"]["post"]["requestBody"]["content"]["application/json"]["schema"])
    for body, valid in (
        ({"score": 0}, True),
        ({"label": "good"}, True),
        ({"better_than": "s", "score": None}, True),
        ({}, False),
        ({"score": None, "label": None}, False),
        ({"label": ""}, False),
        ({"better_than": ""}, False),
    ):
        assert verdict.is_valid({"request_id": "r", **body}) == valid, body
        sent = orjson.dumps({"request_id": "r", **body})
        if valid:
            read_feedback(sent)
        else:
            with pytest.raises(InvalidRequest):
                read_feedback(sent)
    for path, method, sent in (
        ("/v1/headgate/quote", "post", {"object": "headgate.quote", "request_id": "q", **offer_object(OFFER)}),
        ("/v1/headgate/budget", "get", {"object": "headgate.budget", "tenant": "t", "budgets": budget_objects(BUDGETS)}),
    ):
        schema = paths[path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        validator(schema).validate(sent)
        assert schema["properties"].keys() == sent.keys()
    option, sent_option = QUOTE["properties"]["options"]["items"], offer_object(OFFER)["options"][0]
    assert option["properties"].keys() == sent_option.keys()


def test_rows_that_need_a_reason_have_one() -> None:
    assert all(row.note for row in PARAMETERS if isinstance(row.kind, Fixed))
    assert all(isinstance(row.kind, Fixed) == (row.goes == "refused") for row in PARAMETERS)
