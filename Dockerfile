# The service in one image; `docker compose up` is its whole set-up (see docker-compose.yml).
#
# By itself it keeps everything in /data, on SQLite in one process, and needs a SECRET_KEY:
#
#   docker build -t polls .
#   docker run --init -p 127.0.0.1:8000:8000 -v polls-data:/data \
#     -e SECRET_KEY=... -e ALLOWED_HOSTS=polls.example.org -e TRUSTED_PROXIES=172.17.0.1 polls
#
# The first account is made by `docker exec -it <container> python manage.py createsuperuser`.
# It stands behind a proxy that speaks HTTPS: all but /livez and /readyz redirects plain HTTP.

FROM python:3.13-slim AS packages
WORKDIR /build
COPY requirements.txt .
RUN python -m venv --without-pip /venv \
  && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --only-binary :all: --require-hashes --requirement requirements.txt

FROM python:3.13-slim
# A number of its own, so that it is nobody on the host and the volume keeps its owner.
RUN groupadd --gid 10001 polls \
  && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin polls \
  && install --directory --owner polls --group polls --mode 700 /data
WORKDIR /app
COPY --from=packages /venv /venv
COPY manage.py ./
COPY accounts/ accounts/
COPY polls/ polls/
COPY polls_project/ polls_project/
COPY realtime/ realtime/
COPY web/ web/
# Compiled here once, for whoever runs it may not write.
RUN python -m compileall -q .
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=polls_project.settings.prod \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
CMD ["python", "-m", "polls_project.serve"]
