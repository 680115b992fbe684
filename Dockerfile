# wsss without a compiler, as a user without privileges. Two targets, which differ in the wheels of torch:
#   docker build --target cpu --build-arg TORCH_INDEX=URL -t wsss:cpu .
#   docker build --target cuda -t wsss:cuda .
# docs/deployment.md describes the arguments, how to run the images, and what of this file is tested.
ARG BASE=python:3.11.13-slim-bookworm

FROM ${BASE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY pipelines pipelines
COPY wsss wsss
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM ${BASE} AS packages
# Extras of the package, such as [timm,onnx]; only [pydensecrf] needs a compiler.
ARG EXTRAS=""
# Index with wheels of torch for another device than the default index has, such as torch's index of wheels for CPUs.
ARG TORCH_INDEX=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN if [[ "$EXTRAS" == *pydensecrf* ]]; then \
      apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*; \
    fi
RUN python -m venv /opt/wsss
COPY constraints.txt /dist/
# The dependencies of torch follow from the default index: few indices of torch have them in the pinned versions.
RUN if [[ -n "$TORCH_INDEX" ]]; then \
      /opt/wsss/bin/pip install --no-cache-dir --no-deps --constraint /dist/constraints.txt --index-url "$TORCH_INDEX" \
        torch torchvision; \
    fi
COPY --from=wheel /dist/*.whl /dist/
RUN wheel="$(echo /dist/wsss-*.whl)" \
    && /opt/wsss/bin/pip install --no-cache-dir --constraint /dist/constraints.txt "$wheel$EXTRAS"

FROM ${BASE} AS runtime
ARG EXTRAS=""
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The wheels of rasterio, of the extra [geo], require a library that slim images lack.
# hadolint ignore=DL3008
RUN if [[ "$EXTRAS" == *geo* ]]; then \
      apt-get update && apt-get install -y --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/*; \
    fi
RUN useradd --uid 1000 --create-home wsss && mkdir /work && chown wsss:wsss /work
COPY --from=packages /opt/wsss /opt/wsss
ENV PATH=/opt/wsss/bin:$PATH PYTHONUNBUFFERED=1
USER 1000
WORKDIR /work
ENTRYPOINT ["wsss"]
CMD ["--help"]

# The wheels of torch contain CUDA, the host provides the driver (NVIDIA Container Toolkit).
FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime AS cpu
