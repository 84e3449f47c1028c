#!/bin/sh
# Generates the code of every proto into OUT; tests/wire calls it too and compares.   usage: tools/proto.sh PYTHON OUT
set -eu
cd "$(dirname "$0")/.."
exec "$1" -m grpc_tools.protoc -I proto --python_out="$2" --pyi_out="$2" --grpc_python_out="$2" \
    $(find proto/headgate -name '*.proto' | LC_ALL=C sort)
