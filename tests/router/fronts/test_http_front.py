"""Paths, methods, headers and what leaves the front, by raw sockets."""

import asyncio
import logging
from typing import Any

import orjson
import pytest

from router.verdict import Verdict
from tests.router.fronts.http_fakes import KEY, SECRET, FakeDispatcher, RawClient, chat, post, raw_client, serving, until


async def ask(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    async with raw_client(port) as client:
        client.send(sent)
        return await client.answer()


def get(path: str, method: str = "GET", *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: t", *headers, "", ""]).encode()


def error_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body)["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


async def test_health_ready_metrics_and_the_document() -> None:
    fake = FakeDispatcher(keys=True)
    async with serving(fake) as (_, port):
        for path in ("/healthz", "/health", "/readyz"):
            assert (await ask(port, get(path)))[0] == 200
        status, headers, body = await ask(port, get("/metrics"))
        assert (status, body) == (200, b"headgate_requests_total 1\n")
        assert headers["content-type"].startswith("text/plain; version=0.0.4")
        assert orjson.loads((await ask(port, get("/openapi.json")))[2])["openapi"] == "3.1.0"
        fake.is_ready = False
        assert (await ask(port, get("/readyz")))[0] == 503
        fake.is_ready = fake.draining = True
        assert (await ask(port, get("/readyz")))[2] == b'{"status":"draining"}'
        assert (await ask(port, get("/healthz")))[0] == 200


async def test_paths_and_methods() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        for path in ("/", "/v1", "/v1/chat", "/v1/chat/completions/", "/V1/models", "/v1/responses"):
            status, headers, body = await ask(port, get(path))
            assert (status, error_of(body)["type"]) == (404, "invalid_request_error")
            assert headers["x-request-id"]
        for path, method, allow in (
            ("/v1/chat/completions", "GET", "POST, OPTIONS"),
            ("/v1/models", "DELETE", "GET, HEAD, OPTIONS"),
            ("/v1/models/x", "PUT", "GET, HEAD, OPTIONS"),
        ):
            status, headers, body = await ask(port, get(path, method))
            assert (status, headers["allow"]) == (405, allow)
            assert error_of(body)["message"]
            status, headers, _ = await ask(port, get(path, "OPTIONS"))
            assert (status, headers["allow"]) == (204, allow)
        assert (await ask(port, get("*", "OPTIONS")))[0] == 204
        async with raw_client(port) as client:
            client.send(get("/v1/models", "HEAD", "connection: close"))
            said = await client.rest()
            assert said.startswith(b"HTTP/1.1 200 ")
            assert said.endswith(b"\r\n\r\n")


async def test_the_model_in_a_path_may_have_slashes_and_escapes() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        for path in ("/v1/models/org/model", "/v1/models/org%2Fmodel"):
            assert orjson.loads((await ask(port, get(path)))[2])["id"] == "org/model"
        status, _, body = await ask(port, get("/v1/models/%ff%00"))
        assert (status, error_of(body)["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "header", [f"authorization: Bearer {KEY}", f"authorization: bearer  {KEY} ", f"api-key: {KEY}", f"x-api-key: {KEY}"]
)
async def test_a_key_may_stand_in_any_of_its_headers(header: str) -> None:
    fake = FakeDispatcher(keys=True)
    async with serving(fake) as (_, port):
        assert (await ask(port, post("/v1/chat/completions", chat(), header)))[0] == 200
        assert fake.requests[0].tenant == "team"


@pytest.mark.parametrize(
    "header", ["x: y", "authorization: Basic abc", "authorization: Bearer", f"authorization: {KEY}", "api-key: no"]
)
async def test_every_v1_path_needs_a_key_where_keys_are_configured(header: str) -> None:
    async with serving(FakeDispatcher(keys=True)) as (_, port):
        for path in ("chat/completions", "completions", "embeddings", "headgate/quote", "headgate/feedback"):
            status, headers, body = await ask(port, post(f"/v1/{path}", b"{broken", header))
            assert (status, error_of(body)["code"], headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
        for path in ("/v1/models", "/v1/models/small", "/v1/headgate/budget", "/v1/budget"):
            assert (await ask(port, get(path, "GET", header)))[0] == 401


async def test_request_ids() -> None:
    fake = FakeDispatcher()
    async with serving(fake) as (_, port):
        _, headers, body = await ask(port, post("/v1/chat/completions", chat(), "x-request-id: My_id-1.2:3"))
        assert headers["x-request-id"] == headers["x-headgate-request-id"] == fake.requests[0].id == "My_id-1.2:3"
        assert orjson.loads(body)["id"] == "chatcmpl-My_id-1.2:3"
        _, headers, _ = await ask(port, post("/v1/chat/completions", chat(request_id="in-body")))
        assert headers["x-request-id"] == "in-body"
        for bad in ("a b", "é", "a" * 129, "a\r\nx-request-id: b"):
            status, _, body = await ask(port, post("/v1/chat/completions", chat(), f"x-request-id: {bad}"))
            assert (status, error_of(body)["param"]) == (400, "x-request-id")


async def test_time_limits() -> None:
    fake = FakeDispatcher()
    async with serving(fake, limits={"default_timeout_s": 7, "max_timeout_s": 50}) as (_, port):
        now = asyncio.get_running_loop().time()
        for header, wait_s in (("x: y", 7), ("x-headgate-timeout-s: 1.5", 1.5), ("x-headgate-timeout-s: 50", 50)):
            await ask(port, post("/v1/chat/completions", chat(), header))
            deadline = fake.requests[-1].deadline
            assert deadline is not None
            assert wait_s <= deadline - now < wait_s + 20
        for bad in ("0", "-1", "nan", "inf", "51", "soon", ""):
            status, _, body = await ask(port, post("/v1/chat/completions", chat(), f"x-headgate-timeout-s: {bad}"))
            assert (status, error_of(body)["param"]) == (400, "x-headgate-timeout-s")


async def test_only_json_is_read() -> None:
    sent = b'{"model":"small","messages":[]}'
    async with serving(FakeDispatcher()) as (_, port):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: {kind}\r\ncontent-length: {len(sent)}\r\n\r\n"
            )
            status, _, body = await ask(port, head.encode() + sent)
            assert (status, error_of(body)["param"]) == (415, "content-type")
        status, _, body = await ask(port, post("/v1/chat/completions", chat(), "content-encoding: gzip"))
        assert (status, error_of(body)["param"]) == (415, "content-encoding")
        for body_sent in (b"", b"{", b"[]", b"[" * 100_000):
            status, _, body = await ask(port, post("/v1/chat/completions", body_sent))
            assert (status, error_of(body)["param"]) == (400, "body")


async def test_body_limit_comes_from_the_config() -> None:
    async with serving(FakeDispatcher(), limits={"max_body_bytes": 2000}) as (_, port):
        status, _, body = await ask(port, post("/v1/chat/completions", chat(user="x" * 3000)))
        assert (status, error_of(body)["type"]) == (413, "invalid_request_error")


async def test_unknown_parameters_by_config() -> None:
    fake = FakeDispatcher()
    async with serving(fake) as (_, port):
        status, _, body = await ask(port, post("/v1/chat/completions", chat(new_knob=1)))
        assert (status, error_of(body)["param"], error_of(body)["code"]) == (400, "new_knob", "unknown_parameter")
    async with serving(fake, unknown_parameters="pass") as (_, port):
        assert (await ask(port, post("/v1/chat/completions", chat(new_knob=1))))[0] == 200
        assert fake.requests[-1].sampling.extra_json == '{"new_knob":1}'


async def test_quote_and_feedback() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        status, _, body = await ask(port, post("/v1/headgate/quote", chat()))
        (option,) = orjson.loads(body)["options"]
        assert (status, option["pool"], option["cost_usd"], option["output_tokens"]) == (200, "small", 0.25e-3, 128)
        assert (await ask(port, post("/v1/headgate/quote", chat("missing"))))[0] == 404
        status, _, body = await ask(port, post("/v1/headgate/feedback", {"request_id": "r", "score": 0.5}))
        assert (status, orjson.loads(body)["pool"]) == (200, "small")
        status, _, body = await ask(port, post("/v1/headgate/feedback", {"request_id": "unknown", "score": 0.5}))
        assert (status, error_of(body)["param"]) == (404, "request_id")
        status, _, body = await ask(port, post("/v1/headgate/feedback", {"request_id": "r", "score": 2}))
        assert (status, error_of(body)["param"]) == (400, "score")


FOOTPRINT = {"energy_wh": 0.5, "carbon_g": 0.25, "water_ml": 2.0}
BUDGET_OBJECTS = [
    {
        "tenant": "team",
        "limit_usd": 10.0,
        "spent_usd": 2.5,
        "remaining_usd": 7.5,
        "window": "day",
        "resets_at_s": 1_800_000_000,
        "hard": True,
    },
    {
        "tenant": "organisation",
        "limit_usd": 100.0,
        "spent_usd": 125.0,
        "remaining_usd": 0.0,
        "window": "month",
        "resets_at_s": 1_802_000_000,
        "hard": False,
    },
]
# Of two budgets, the hard one ends the tenant's requests.
PAID_HEADERS = {
    "energy-wh": "0.5",
    "carbon-g": "0.25",
    "water-ml": "2",
    "budget-tenant": "team",
    "budget-limit-usd": "10",
    "budget-remaining-usd": "7.5",
    "budget-resets-at": "1800000000",
}
CHOICE_HEADERS = {"quality": "0.75", "policy": "thrifty", "exploring": "true"}


def ours(headers: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("x-headgate-"): value for name, value in headers.items() if name.startswith("x-headgate-")}


async def test_a_whole_answer_tells_all_of_its_choice_and_money() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        _, rich, body = await ask(port, post("/v1/chat/completions", chat("rich")))
        _, plain, _ = await ask(port, post("/v1/chat/completions", chat()))
    assert (PAID_HEADERS | CHOICE_HEADERS | {"escalated": "1"}).items() <= ours(rich).items()
    assert not (PAID_HEADERS | CHOICE_HEADERS).keys() & ours(plain).keys()
    told = orjson.loads(body)["headgate"]
    assert (told["quality"], told["policy"], told["exploring"], told["escalated"]) == (0.75, "thrifty", True, 1)
    assert (told["footprint"], told["budgets"]) == (FOOTPRINT, BUDGET_OBJECTS)


async def test_a_stream_tells_its_choice_at_once_and_its_money_at_the_end() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        _, headers, body = await ask(port, post("/v1/chat/completions", chat("rich", stream=True)))
    assert CHOICE_HEADERS.items() <= ours(headers).items()
    assert not PAID_HEADERS.keys() & ours(headers).keys()
    told = orjson.loads(body.split(b"\n\n")[-3][6:])["headgate"]
    assert (told["quality"], told["escalated"], told["footprint"]) == (0.75, 1, FOOTPRINT)
    assert told["budgets"] == BUDGET_OBJECTS


async def test_several_prompts_are_summed_up() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        _, headers, body = await ask(port, post("/v1/completions", {"model": "rich", "prompt": ["a", "b"]}))
    told = orjson.loads(body)["headgate"]
    assert (told["escalated"], told["cost_usd"]) == (2, 0.00025)
    assert told["footprint"] == {"energy_wh": 1.0, "carbon_g": 0.5, "water_ml": 4.0}
    assert told["budgets"] == BUDGET_OBJECTS
    assert ours(headers)["energy-wh"] == "1"


async def test_embeddings_tell_their_money_too() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        _, headers, body = await ask(port, post("/v1/embeddings", {"model": "rich", "input": "a"}))
    told = orjson.loads(body)["headgate"]
    assert (told["footprint"], told["budgets"]) == (FOOTPRINT, BUDGET_OBJECTS)
    assert PAID_HEADERS.items() <= ours(headers).items()
    assert told["request_id"] == headers["x-request-id"] == headers["x-headgate-request-id"]


async def test_a_quote_tells_of_every_option_and_of_the_money() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        _, _, body = await ask(port, post("/v1/headgate/quote", chat("rich"), "x-request-id: q-1"))
        _, headers, plain = await ask(port, post("/v1/headgate/quote", chat()))
    assert orjson.loads(body) == {
        "object": "headgate.quote",
        "request_id": "q-1",
        "options": [
            {
                "pool": "small",
                "model": "smollm2",
                "replica": "small-0",
                "reason": "good enough",
                "simulated": False,
                "quality": 0.75,
                "policy": "thrifty",
                "exploring": True,
                "uncertainty": 0.125,
                "cost_usd": 0.25e-3,
                "max_cost_usd": 0.5e-3,
                "prompt_tokens": 11,
                "cached_tokens": 4,
                "output_tokens": 128,
                "footprint": FOOTPRINT,
                "utility": 0.375,
                "ttft_ms": 62.5,
            }
        ],
        "budgets": BUDGET_OBJECTS,
        "refusal": "team has spent its 10 USD of the day",
    }
    told = orjson.loads(plain)
    assert told["request_id"] == headers["x-request-id"]
    assert (told["budgets"], told["refusal"]) == ([], "")
    assert (told["options"][0]["quality"], told["options"][0]["uncertainty"], told["options"][0]["footprint"]) == (None,) * 3


@pytest.mark.parametrize("path", ["/v1/headgate/budget", "/v1/budget"])
async def test_budgets_are_the_callers_own(path: str) -> None:
    async with serving(FakeDispatcher()) as (_, port):
        status, headers, body = await ask(port, get(path, "GET", f"authorization: Bearer {KEY}"))
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert orjson.loads(body) == {"object": "headgate.budget", "tenant": "team", "budgets": BUDGET_OBJECTS}
        told = orjson.loads((await ask(port, get(path)))[2])
        assert told == {"object": "headgate.budget", "tenant": "anonymous", "budgets": []}
        assert (await ask(port, get(path, "POST")))[0] == 405


async def test_a_preference_needs_no_score() -> None:
    async with serving(fake := FakeDispatcher()) as (_, port):
        path = "/v1/headgate/feedback"
        assert (await ask(port, post(path, {"request_id": "r", "better_than": "s"})))[0] == 200
        assert (await ask(port, post(path, {"request_id": "r", "label": "good"})))[0] == 200
        status, _, body = await ask(port, post(path, {"request_id": "r"}))
        assert (status, error_of(body)["param"]) == (400, "score")
    assert fake.judged == [Verdict("r", better_than="s"), Verdict("r", label="good")]


@pytest.mark.parametrize(
    ("model", "repeat", "waits"),
    [
        ("broke", "false", {"retry-after": "3600", "retry-after-ms": "3600000"}),
        ("broke-for-now", "true", {"retry-after": "13", "retry-after-ms": "12500"}),
        ("broke-for-ever", "false", {}),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_without_money_it_is_said_when_there_will_be_some(
    model: str, repeat: str, waits: dict[str, str], stream: bool
) -> None:
    async with serving(FakeDispatcher()) as (_, port):
        status, headers, body = await ask(port, post("/v1/chat/completions", chat(model, stream=stream)))
    error = error_of(body)
    assert (status, error["type"], error["code"]) == (429, "insufficient_quota", "budget_exceeded")
    assert "has spent its 10 USD" in error["message"]
    assert headers["x-should-retry"] == repeat
    assert {name: value for name, value in headers.items() if name.startswith("retry-after")} == waits


async def test_a_stream_on_the_wire() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        status, headers, body = await ask(port, post("/v1/chat/completions", chat(stream=True), "x-request-id: r1"))
        assert status == 200
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["x-headgate-replica"] == "small-0"
        events = body.split(b"\n\n")
        assert events[-2:] == [b"data: [DONE]", b""]
        assert all(event.startswith(b"data: {") and b"\n" not in event for event in events[:-2])
        first = orjson.loads(events[0][6:])
        del first["created"]
        assert first == {
            "id": "chatcmpl-r1",
            "object": "chat.completion.chunk",
            "model": "smollm2",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}],
        }
        last = orjson.loads(events[-3][6:])
        assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop", "stop_reason": "###"}]


async def test_an_error_in_mid_stream_ends_it_without_done() -> None:
    async with serving(FakeDispatcher()) as (_, port):
        status, _, body = await ask(port, post("/v1/chat/completions", chat("lost", stream=True)))
        assert status == 200
        assert b"[DONE]" not in body
        assert orjson.loads(body.split(b"\n\n")[-2][6:])["error"]["code"] == "answer_lost"


async def test_pieces_arrive_as_they_are_said() -> None:
    async with serving(FakeDispatcher()) as (_, port), raw_client(port) as client:
        client.send(post("/v1/chat/completions", chat("hang", stream=True)))
        async with asyncio.timeout(10):
            await client.reader.readuntil(b'"content":"lo"')


async def read_some(client: RawClient, count: int) -> None:
    while count > 0:
        count -= len(await client.reader.read(1 << 16))


async def test_a_slow_client_holds_the_answer_back_and_gets_it_all_the_same() -> None:
    fake = FakeDispatcher()
    async with serving(fake) as (_, port), raw_client(port) as client:
        client.send(post("/v1/chat/completions", chat("endless", stream=True)))
        await client.reader.readuntil(b"\r\n\r\n")
        seen = -1
        while seen != fake.pulled:  # the pipe between us fills up
            seen = fake.pulled
            await asyncio.sleep(0.1)
        assert fake.running == 1
        assert seen < 20_000
        await read_some(client, seen * 500)
        await until(lambda: fake.pulled > seen)
        client.writer.close()
        await until(lambda: fake.running == 0)


@pytest.mark.parametrize("model", ["hang", "hang-early"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_frees_its_request(model: str, stream: bool) -> None:
    fake = FakeDispatcher()
    async with serving(fake) as (_, port):
        async with raw_client(port) as client:
            client.send(post("/v1/chat/completions", chat(model, stream=stream)))
            await until(lambda: fake.running == 1)
        await until(lambda: fake.running == 0)
        async with raw_client(port) as client:
            client.send(post("/v1/completions", {"model": model, "prompt": ["a", "b", "c"], "stream": stream}))
            await until(lambda: fake.running == 3)
        await until(lambda: fake.running == 0)


async def test_drain_lets_streams_end() -> None:
    async with serving(FakeDispatcher()) as (front, port), raw_client(port) as client:
        client.send(post("/v1/chat/completions", chat("slow", stream=True)))
        await client.reader.readuntil(b'"content":"Hel"')
        draining = asyncio.create_task(front.drain(20))
        assert (await client.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await asyncio.wait_for(draining, 10)


@pytest.mark.parametrize("stream", [True, False])
async def test_nothing_of_a_request_is_logged_or_shown_when_we_fail(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with serving(FakeDispatcher()) as (_, port):
            for model in ("bug", "bug-late"):
                sent = post(
                    "/v1/chat/completions", chat(model, stream=stream), "x-request-id: r-77", f"authorization: Bearer {KEY}"
                )
                _, _, body = await ask(port, sent)
                assert b"internal error" in body
                assert SECRET.encode() not in body
                assert b"Traceback" not in body
    assert "r-77" in caplog.text
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text
    assert SECRET not in caplog.text


async def test_nothing_of_quotes_verdicts_and_budgets_is_logged_or_shown_either(caplog: pytest.LogCaptureFixture) -> None:
    fake, who = FakeDispatcher(), f"authorization: Bearer {KEY}"
    fake.bug = SECRET
    verdict = {"request_id": "r", "label": SECRET}
    with caplog.at_level(logging.DEBUG):
        async with serving(fake) as (_, port):
            for sent in (
                post("/v1/headgate/quote", chat("bug"), who),
                post("/v1/headgate/feedback", verdict, who),
                post("/v1/headgate/feedback", {**verdict, "request_id": "unknown"}, who),
                post("/v1/headgate/feedback", {**verdict, "score": SECRET}, who),
                post("/v1/headgate/feedback", {**verdict, "better_than": [SECRET]}, who),
                get("/v1/headgate/budget", "GET", who),
            ):
                status, _, body = await ask(port, sent)
                assert status in (400, 404, 500)
                assert SECRET.encode() not in body
                assert KEY.encode() not in body
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text
    assert SECRET not in caplog.text


async def test_names_from_inside_can_not_break_out_of_their_header(monkeypatch: pytest.MonkeyPatch) -> None:
    from router.request import Decision
    from tests.router.fronts import http_fakes

    evil = Decision("po\r\nx-evil: 1", "модель", "re\x00plica", "why\nnot", policy="po\r\nx-evil: 1")
    monkeypatch.setattr(http_fakes, "DECISION", evil)
    async with serving(FakeDispatcher()) as (_, port):
        for stream in (True, False):
            _, headers, _ = await ask(port, post("/v1/chat/completions", chat(stream=stream)))
            assert "x-evil" not in headers
            assert headers["x-headgate-model"] == "??????"
            assert headers["x-headgate-reason"] == "why not"
            assert headers["x-headgate-policy"] == "po  x-evil: 1"
