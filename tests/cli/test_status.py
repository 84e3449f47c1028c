import io

from cli.stack.status import pool_status, status_line
from cli.supervision.log import Log
from cli.supervision.supervisor import State

READY = State("ready", {"address": "x"})
FAILED = State("waiting", failures=4, why="exited with status 1 before it was ready")


def test_all_is_well() -> None:
    assert (
        status_line(READY, [pool_status("small", [READY], 0), pool_status("far", [], 2)]) == "router up · small 1/1 · far 2/2"
    )


def test_starting_and_failing_differ() -> None:
    pools = [pool_status("small", [State()], 0), pool_status("large", [READY, FAILED], 0)]
    assert status_line(State(), pools) == (
        "router starting · small 0/1 starting · large 1/2 FAILING (4 times; it exited with status 1 before it was ready)"
    )


def test_one_end_is_no_failing_yet() -> None:
    once = State("waiting", failures=1, why="was ended by SIGKILL")
    assert status_line(READY, [pool_status("small", [once], 0)]) == "router up · small 0/1 restarting"


def test_lines_say_whose_they_are() -> None:
    out = io.StringIO()
    log = Log(out, colour=False, width=8)
    log.line("small/0", "hello")
    log.ours("up")
    assert out.getvalue() == "[small/0]  hello\n[headgate] up\n"


def test_colours_only_where_asked() -> None:
    out = io.StringIO()
    log = Log(out, colour=True)
    for source in ("a", "b", "a"):
        log.line(source, "x")
    first, second, third = out.getvalue().splitlines()
    assert first == third
    assert first.split("[a]")[0] != second.split("[b]")[0]


def test_a_reader_that_went_away_is_told_once() -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    gone: list[int] = []
    log = Log(Broken(), colour=False, gone=lambda: gone.append(1))
    log.ours("x")
    log.ours("y")
    assert gone == [1]
