"""The list of every field number that the wire has ever used, and how to add to it.

    python tests/wire/field_numbers.py      adds new fields; refuses if a published one changed

One line a field: message, number, name, type; enum values likewise, with the type `value`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("field_numbers.txt")
HEADER = "# Published field numbers; written by tests/wire/field_numbers.py. Lines are never changed or removed.\n"

Fields = dict[int, str]  # number → "name type"
Published = dict[str, Fields]  # by message or enum


@dataclass(frozen=True)
class Current:
    """A message or enum as the protos have it now."""

    fields: Fields
    reserved_numbers: frozenset[int] = frozenset()
    reserved_names: frozenset[str] = frozenset()


Wire = dict[str, Current]


def descriptor_set() -> FileDescriptorSet:
    """Our protos as protoc reads them; the well-known types are left out."""
    protos = sorted(map(str, (ROOT / "proto" / "headgate").rglob("*.proto")))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "wire.pb"
        protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto"), f"--descriptor_set_out={out}"]
        subprocess.run([*protoc, *protos], check=True)
        return FileDescriptorSet.FromString(out.read_bytes())


def current_wire(files: FileDescriptorSet) -> Wire:
    wire: Wire = {}
    for file in files.file:
        wire |= {f"{file.package}.{enum.name}": _enum(enum) for enum in file.enum_type}
        for name, message in _messages(f"{file.package}.", file.message_type):
            wire[name] = _message(message)
            wire |= {f"{name}.{enum.name}": _enum(enum) for enum in message.enum_type}
    return wire


def broken_promises(published: Published, now: Wire) -> list[str]:
    """What a client built against the published wire would trip over."""
    return [problem for name, fields in published.items() for problem in _broken(name, fields, now.get(name))]


def _broken(message: str, published: Fields, now: Current | None) -> Iterator[str]:
    if now is None:
        yield f"{message} is gone"
        return
    for number, was in published.items():
        current = now.fields.get(number)
        reserved = number in now.reserved_numbers and was.split()[0] in now.reserved_names
        if current is None and not reserved:
            yield f"{message}: {number} ({was}) is gone and not reserved"
        elif current is not None and current != was:
            yield f"{message}: {number} was `{was}`, now `{current}`"


def merged(published: Published, now: Wire) -> Published:
    """The published list and the fields that are new."""
    current = {name: message.fields for name, message in now.items()}
    return {name: current.get(name, {}) | published.get(name, {}) for name in published | current}


def render(published: Published) -> str:
    empty = [f"{name} -" for name in sorted(published) if not published[name]]
    lines = [f"{name} {number} {text}" for name in sorted(published) for number, text in sorted(published[name].items())]
    return HEADER + "".join(f"{line}\n" for line in empty + lines)


def parse(text: str) -> Published:
    published: Published = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            message, number, *rest = line.split(" ", 2)
            fields = published.setdefault(message, {})
            if number != "-":
                fields[int(number)] = rest[0]
    return published


def _messages(prefix: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        yield prefix + message.name, message
        yield from _messages(f"{prefix}{message.name}.", message.nested_type)


def _message(message: DescriptorProto) -> Current:
    fields = {field.number: f"{field.name} {_type(field)}" for field in message.field}
    reserved = {number for span in message.reserved_range for number in range(span.start, span.end)}
    return Current(fields, frozenset(reserved), frozenset(message.reserved_name))


def _enum(enum: EnumDescriptorProto) -> Current:
    values = {value.number: f"{value.name} value" for value in enum.value}
    # Unlike a message's, the ranges of an enum include their end.
    reserved = {number for span in enum.reserved_range for number in range(span.start, span.end + 1)}
    return Current(values, frozenset(reserved), frozenset(enum.reserved_name))


def _type(field: FieldDescriptorProto) -> str:
    """As in the proto: `repeated .headgate.v1.Delta`, `double`. Being optional or in a oneof does not change the bytes."""
    kind = field.type_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"repeated {kind}" if field.label == FieldDescriptorProto.LABEL_REPEATED else kind


if __name__ == "__main__":
    before = parse(LIST.read_text()) if LIST.exists() else {}
    wire = current_wire(descriptor_set())
    if problems := broken_promises(before, wire):
        sys.exit("Not written: the published wire may not change.\n" + "\n".join(problems))
    after = merged(before, wire)
    LIST.write_text(render(after))
    print(f"{LIST.relative_to(ROOT)} holds {sum(map(len, after.values()))} fields")
