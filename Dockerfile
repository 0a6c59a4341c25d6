# SPDX-License-Identifier: Apache-2.0
#
# Build:  docker build -t snoop .
# Run:    docker run --rm --cgroupns=host --pid=host \
#           --cap-drop=ALL --cap-add=BPF --cap-add=PERFMON --cap-add=SYS_PTRACE --cap-add=DAC_OVERRIDE \
#           -v /sys/fs/cgroup:/sys/fs/cgroup:ro -v "$PWD/report:/data" snoop record --all
#
# What it needs, and what for. Never --privileged.
#   CAP_BPF, CAP_PERFMON   load and attach the BPF programs
#   CAP_SYS_PTRACE         with the host's pids (--pid=host): reach the root of other containers, which
#                          tells symbolic links on the way and where files come from; without both, paths are
#                          reported as they were asked for
#   CAP_DAC_OVERRIDE       write to /data and look into those roots, whoever owns them
#   CAP_SYS_RESOURCE       kernels before 5.11 only, which count BPF maps as locked memory (or: --ulimit memlock=-1)
#   --cgroupns=host        see other containers' cgroups under the host's names
#   /sys/fs/cgroup         read: cgroup2, to find the containers
#   /sys/kernel/btf        read: the kernel's types; /sys of any container has it
# Docker before 23 and the podman of Debian 12 block bpf() in their seccomp profile whatever the capabilities: add
# --security-opt seccomp=unconfined.

FROM debian:12 AS build
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
        libgmock-dev \
        libgtest-dev \
        libspdlog-dev \
        llvm \
        ninja-build \
        pkg-config \
        prometheus-cpp-dev \
        rapidjson-dev \
        zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF \
    && cmake --build build/release \
    && DESTDIR=/out cmake --install build/release --prefix /usr/local --strip

FROM debian:12-slim
LABEL org.opencontainers.image.title="snoop" \
      org.opencontainers.image.description="Watches containers with eBPF and reports which files of their images are really used" \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR Apache-2.0)"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libbpf1 \
        libcap2 \
        libelf1 \
        libfmt9 \
        libprometheus-cpp-core1.0 \
        libspdlog1.10 \
        libstdc++6 \
        zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /
COPY LICENSE LICENSES/GPL-2.0-only.txt /usr/local/share/doc/snoop/
VOLUME /data
ENTRYPOINT ["snoop"]
CMD ["record"]
