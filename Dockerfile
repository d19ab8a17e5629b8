# The server, with PyTorch for the processor. A model is mounted at /model:
#   docker build -t horizon-st . && docker run -p 8000:8000 -v "$PWD/runs/NAME/model:/model:ro" horizon-st
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt ".[serve]" \
    && useradd --create-home --uid 1000 server

USER 1000
WORKDIR /home/server
VOLUME /model
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["horizon-st", "serve"]
CMD ["/model", "--host", "0.0.0.0", "--name", "horizon-st"]
