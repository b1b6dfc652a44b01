# CPU:            docker build -t atelier .
# GPU FAISS too:  docker build -t atelier:gpu --build-arg REQUIREMENTS=requirements-gpu.txt .
# One image serves Airflow (scheduler, api-server, dag-processor, workers) and the jobs; torch's wheel carries CUDA.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG REQUIREMENTS=requirements.txt
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/atelier
RUN pip install uv==0.13.9 && uv venv /opt/venv
# requirements first: a change of code does not download torch again
COPY requirements.txt requirements-gpu.txt deploy/requirements-cluster.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/venv/bin/python --require-hashes -r "${REQUIREMENTS}" -r requirements-cluster.txt
COPY pyproject.toml README.md ./
COPY models models
COPY pipeline pipeline
COPY sql sql
COPY dags dags
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/venv/bin/python --no-deps --editable .

FROM python:${PYTHON}-slim-bookworm
# the folder belongs to the user before a volume is put over it
RUN useradd --create-home --uid 10001 atelier && install -d -o atelier -g atelier /home/atelier/airflow
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/atelier /opt/atelier
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/home/atelier/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/atelier/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
USER 10001
WORKDIR /home/atelier
HEALTHCHECK --interval=60s --timeout=20s CMD ["atelier", "settings"]
ENTRYPOINT ["atelier"]
CMD ["--help"]
