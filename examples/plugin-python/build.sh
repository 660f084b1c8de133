#!/bin/sh
# build.sh FILE: generates the protocol's messages and packs all into one
# executable file, FILE. It needs Debian's packages protobuf-compiler and
# python3; to run, python3-grpcio, python3-protobuf and python3-cryptography.
set -eu
out=$(realpath "$1")
cd "$(dirname "$0")"
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
protoc -I ../../plugin/proto --python_out="$parts" atomrouter/engine/v1/engine.proto
protoc -I . --python_out="$parts" host.proto
cp ./*.py "$parts"
/usr/bin/python3 -m zipapp -p /usr/bin/python3 -o "$out" "$parts"
