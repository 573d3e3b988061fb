# The verbs of the project; `just` alone lists them.

_list:
    @just --list

# Install everything into .venv
setup:
    uv sync

# Run the tests (arguments go to pytest)
test *args:
    uv run pytest {{ args }}

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
