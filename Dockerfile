# The image of the command line, for machines with or without an NVIDIA GPU.
#
#   docker build -t wassergan --build-arg TORCH_INDEX=URL .   # URL: PyTorch's CPU index, see pytorch.org/get-started
#   docker build -t wassergan:cuda --build-arg TORCH=cuda .   # the build that the package index gives on Linux
#   docker run --rm -v "$PWD:/work" wassergan train people.csv --budget 3m --out runs/people
#   docker run --rm --gpus all -v "$PWD:/work" wassergan:cuda train photos/ --size 64 --budget 2h --out runs/photos
#
# CUDA's libraries come with torch: the GPU image needs a driver on the host and the NVIDIA Container Toolkit, no more.

ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
# cpu or cuda; with cpu, TORCH_INDEX names the index that has builds without CUDA.
ARG TORCH=cpu
ARG TORCH_INDEX=""
ARG EXTRAS=tables,excel,export
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/wassergan
ENV PATH=/opt/wassergan/bin:$PATH
WORKDIR /source
COPY constraints.txt ./
RUN case "$TORCH" in \
      cpu) if [ -z "$TORCH_INDEX" ]; then echo "TORCH=cpu needs TORCH_INDEX: see the head of this file" >&2; exit 1; fi; \
           pip install --constraint constraints.txt -i "$TORCH_INDEX" torch ;; \
      cuda) pip install --constraint constraints.txt torch ;; \
      *) echo "TORCH is cpu or cuda, not $TORCH" >&2; exit 1 ;; \
    esac
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --constraint constraints.txt ".[$EXTRAS]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/wassergan /opt/wassergan
# Runs as nobody in particular: files in /work belong to --user, or to this one.
RUN useradd --create-home --uid 1000 wassergan && install -d -o wassergan /work
USER wassergan
ENV PATH=/opt/wassergan/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /work
ENTRYPOINT ["wassergan"]
CMD ["--help"]
