# The job runner: one message of one queue, then it ends (functions/workers/job.py). Built from the unpacked
# package, so that it is the code and the versions that the function apps run:
#   unzip -q dist/slipway.zip -d dist/image
#   docker build --file deploy/job.Dockerfile --tag slipway-job dist/image
#   docker run --rm --read-only --tmpfs /tmp --env-file settings.env slipway-job runs
# The base is pinned by its tag here; the pipeline records the digest of what was built and deploys that.
FROM python:3.13-slim AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt .
RUN pip install --requirement requirements.txt
WORKDIR /app
COPY functions functions
COPY shared shared
# Compiled once here: the root of a job is read-only, and every job is a cold start.
RUN python -m compileall -q -j 0 /app

FROM python:3.13-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin slipway
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp SLIPWAY_DATA_DIR=/tmp/slipway \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
# Exec form: SIGTERM has to reach Python, which gives the message back.
ENTRYPOINT ["python", "-m", "functions.workers.job"]
HEALTHCHECK NONE
