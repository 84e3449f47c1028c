"""Field numbers and types of the wire are for ever: tests/wire/field_numbers.txt lists each one that was ever published.

A new field is added to the list by   python tests/wire/field_numbers.py   which refuses to drop or change a line. A removed
field keeps its line, and the proto must reserve its number and name.
"""

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from tests.wire.field_numbers import (
    LIST,
    Published,
    Wire,
    broken_promises,
    current_wire,
    descriptor_set,
    merged,
    parse,
    render,
)

INT32, STRING = FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_STRING
PUBLISHED: Published = {"p.M": {1: "a int32", 2: "b string"}}


def wire(*fields: tuple[int, str, "FieldDescriptorProto.Type.ValueType"], reserved: tuple[int, str] | None = None) -> Wire:
    """The wire of one message p.M."""
    message = DescriptorProto(name="M")
    for number, name, kind in fields:
        message.field.add(name=name, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if reserved:
        message.reserved_range.add(start=reserved[0], end=reserved[0] + 1)
        message.reserved_name.append(reserved[1])
    return current_wire(FileDescriptorSet(file=[FileDescriptorProto(name="m.proto", package="p", message_type=[message])]))


def test_no_field_was_renumbered_retyped_or_dropped() -> None:
    assert broken_promises(parse(LIST.read_text()), current_wire(descriptor_set())) == []


def test_the_list_knows_every_field() -> None:
    published = parse(LIST.read_text())
    assert render(published) == LIST.read_text()
    assert merged(published, current_wire(descriptor_set())) == published, (
        "run python tests/wire/field_numbers.py and commit the list"
    )


@pytest.mark.parametrize(
    ("now", "broken"),
    [
        (wire((1, "a", INT32), (2, "b", STRING)), []),
        (wire((1, "a", INT32), (2, "b", STRING), (3, "c", INT32)), []),
        (wire((1, "a", INT32), reserved=(2, "b")), []),
        (wire((1, "a", INT32)), ["p.M: 2 (b string) is gone and not reserved"]),
        (wire((1, "a", INT32), reserved=(2, "x")), ["p.M: 2 (b string) is gone and not reserved"]),
        (wire((1, "a", STRING), (2, "b", STRING)), ["p.M: 1 was `a int32`, now `a string`"]),
        (wire((1, "x", INT32), (2, "b", STRING)), ["p.M: 1 was `a int32`, now `x int32`"]),
        ({}, ["p.M is gone"]),
    ],
)
def test_what_breaks_a_promise(now: Wire, broken: list[str]) -> None:
    assert broken_promises(PUBLISHED, now) == broken


def test_a_reserved_field_stays_on_the_list() -> None:
    now = wire((1, "a", INT32), (3, "c", INT32), reserved=(2, "b"))
    assert merged(PUBLISHED, now) == {"p.M": {1: "a int32", 2: "b string", 3: "c int32"}}
