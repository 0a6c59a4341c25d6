# SPDX-License-Identifier: Apache-2.0
#
# Build:  docker build -t snoop:0.1.0 .        (podman build, too)
# Run:    docker run --rm --pid=host --hostname="$(uname -n)" --read-only --security-opt=no-new-privileges \
#           --cap-drop=ALL --cap-add=BPF --cap-add=PERFMON --cap-add=SYS_PTRACE --cap-add=DAC_READ_SEARCH \
#           -v /sys/fs/cgroup:/sys/fs/cgroup:ro -v /run:/host/run:ro,rslave -v "$PWD/report:/data" \
#           snoop:0.1.0 record --all-containers --host-root /host
#
# What it needs, and what for. Never --privileged.
#   CAP_BPF, CAP_PERFMON   load and attach the BPF programs
#   CAP_SYS_PTRACE         with the host's pids (--pid=host): reach the root of other containers, which
#                          tells symbolic links on the way and where files come from; without both, paths are
#                          reported as they were asked for
#   CAP_DAC_READ_SEARCH    look into those roots, whoever owns them
#   /sys/fs/cgroup         read: the cgroups, to find the containers
#   /sys/kernel/btf        read: the kernel's types; /sys of any container has it
#   /run                   optional: sockets of container runtimes, which snoop-metadata (no capabilities) asks for names and
#                          images. They are as good as root: leave it out where ids are enough
#   /data                  write: the report. Root's, or writable for all
# Docker before 23 and the podman of Debian 12 block bpf() in their seccomp profile whatever the capabilities: add
# --security-opt seccomp=unconfined.
#
# It runs as root: Docker and Kubernetes give added capabilities to no other user's process, but by way of files that have
# capabilities, which no-new-privileges switches off. Podman does: podman run --user 65532 --cap-add=... works.
#
# The image holds snoop, snoop-metadata, the libraries that they are linked with, and what says of which Debian packages these are.

# --build-context build=DIRECTORY puts a directory with an image/ that was made elsewhere in the place of this stage.
FROM debian:12-slim AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        bpftool \
        clang \
        cmake \
        g++ \
        libboost-dev \
        libbpf-dev \
        libcap-dev \
        libcli11-dev \
        libelf-dev \
        libexpected-dev \
        libfmt-dev \
        libgrpc++-dev \
        libprotobuf-dev \
        libseccomp-dev \
        libspdlog-dev \
        libssl-dev \
        libtomlplusplus-dev \
        llvm \
        ninja-build \
        pkg-config \
        prometheus-cpp-dev \
        protobuf-compiler \
        rapidjson-dev \
        zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=/usr \
    && cmake --build build/release \
    && DESTDIR=/out cmake --install build/release --strip \
    && scripts/image-root.sh /out /image

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="snoop" \
      org.opencontainers.image.description="Watches containers with eBPF and reports which files of their images are really used" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="debian:12-slim" \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR Apache-2.0)"
COPY --from=build /image/ /
VOLUME /data
ENTRYPOINT ["/usr/bin/snoop"]
CMD ["record"]
