# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.13

# ---- the packages, pinned and hashed, in an environment of their own
FROM python:${PYTHON_VERSION}-slim AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /uv \
    && /uv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements/uv.txt
ENV UV_CACHE_DIR=/uv-cache UV_LINK_MODE=copy
RUN --mount=type=cache,target=/uv-cache \
    python -m venv --without-pip /venv \
    && /uv/bin/uv pip sync --require-hashes --compile-bytecode --python /venv/bin/python \
        requirements/runtime.txt

# ---- the same with what the load tests need
FROM packages AS load-packages
RUN --mount=type=cache,target=/uv-cache \
    /uv/bin/uv pip sync --require-hashes --compile-bytecode --python /venv/bin/python \
        requirements/dev.txt

# ---- what runs: one image for migrate, api and worker, told apart by their command
FROM python:${PYTHON_VERSION}-slim AS base
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin onsale
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app:/app/clients/python
WORKDIR /app
COPY . /app

FROM base AS locust
COPY --from=load-packages /venv /venv
USER 10001

FROM base AS onsale
COPY --from=packages /venv /venv
USER 10001
EXPOSE 8000
CMD ["python", "-m", "ops", "serve", "--host", "0.0.0.0"]
