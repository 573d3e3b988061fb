# The verbs of the project; `just` alone lists them.

_list:
    @just --list

# Install everything into .venv
setup:
    uv sync

# Run the tests, several at a time (arguments go to pytest)
test *args:
    uv run pytest -n auto {{ args }}

# Lint and check the formatting
lint:
    uv run ruff check .
    uv run ruff format --check .

# Check the types, strictly
types:
    uv run mypy
    uv run mypy tests bench

# Check the import layers
layers:
    uv run lint-imports

# Pin every package anew
lock:
    python3 .ci/lock

# Generate symdb's gRPC code and descriptor anew from its proto file
proto:
    #!/usr/bin/env bash
    set -euo pipefail
    out=$(mktemp -d)
    trap 'rm -r "$out"' EXIT
    uv run --with grpcio-tools==1.85.1 python -m grpc_tools.protoc \
        -I schemas/qd_schemas/proto --python_betterproto_out="$out" \
        --descriptor_set_out=schemas/qd_schemas/proto/symdb.binpb --include_source_info symdb.proto
    cp "$out/qd/symdb/v1/__init__.py" schemas/qd_schemas/symdb_grpc/__init__.py

# Format the code
fmt:
    uv run ruff check --fix .
    uv run ruff format .

# Print rates and ratios of the main job
bench *args:
    uv run python -m bench {{ args }}

# Run the main job on generated data
demo *args:
    uv run qd demo {{ args }}
