import socket
from collections.abc import Iterator

import pytest

from cli.errors import CommandError
from cli.stack.ports import GRPC, HTTP, busy, check_free, named_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as server:
        yield server.getsockname()[1]


def test_the_flag_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_HTTP_PORT", "1234")
    monkeypatch.delenv("HEADGATE_GRPC_PORT", raising=False)
    assert named_port(HTTP, 0) == 0
    assert named_port(HTTP, None) == 1234
    assert named_port(GRPC, None) is None


@pytest.mark.parametrize("value", ["http", "-1", "65536", "80.5"])
def test_what_is_no_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HEADGATE_GRPC_PORT", value)
    with pytest.raises(CommandError, match=f"HEADGATE_GRPC_PORT: '{value}' is not a port"):
        named_port(GRPC, None)


def test_a_busy_port_is_named_with_the_flag_that_changes_it(taken: int) -> None:
    """Also where the other program shares its port (SO_REUSEPORT), as gRPC servers do."""
    with pytest.raises(CommandError) as caught:
        check_free(HTTP, ("127.0.0.1", taken))
    assert str(taken) in caught.value.message
    assert "--http-port N or HEADGATE_HTTP_PORT=N" in caught.value.todo


def test_free_ports() -> None:
    assert busy("127.0.0.1", 0) is None
    check_free(GRPC, ("127.0.0.1", 0))


def test_an_address_of_another_machine() -> None:
    with pytest.raises(CommandError, match=r"cannot listen on 192\.0\.2\.1:1"):
        check_free(HTTP, ("192.0.2.1", 1))
