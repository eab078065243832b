# The app, for this host alone unless the port is published: docker build -t second-order-explorer .
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE app.py ./
COPY .streamlit .streamlit
COPY pages pages
COPY explorer explorer
# PyTorch's own index has the wheels without CUDA: add --extra-index-url https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir ".[postgres]" && useradd --create-home explorer && mkdir /data && chown explorer /data

# bundles and findings live outside the image
WORKDIR /srv
ENV EXPLORER_BUNDLES=/srv/precomputed EXPLORER_DATA=/data
VOLUME /data
USER explorer
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["second-order-explorer", "serve", "--address", "0.0.0.0", "--port", "8501"]
