#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building (and with --test, --vm, --package, --deploy or --bench, testing, under other
# kernels, packaging, testing package and image, measuring) snoop on Debian 12 needs.
# Asks apt only for what is missing, so it is quick where all is there.
set -eu

packages="cmake ninja-build g++ clang llvm bpftool pkg-config make git python3
  libbpf-dev libelf-dev libcap-dev zlib1g-dev linux-libc-dev
  libcli11-dev libspdlog-dev libfmt-dev rapidjson-dev libexpected-dev
  libboost-dev prometheus-cpp-dev libtomlplusplus-dev libseccomp-dev
  libgrpc++-dev libprotobuf-dev protobuf-compiler libssl-dev
  libgtest-dev libgmock-dev"
if [ "${1:-}" = --test ]; then
  packages="$packages python3-jsonschema python3-yaml strace clang-format clang-tidy shellcheck
    gcc musl-tools runc findutils tar procps util-linux mount
    busybox-static sqlite3 openssl perl zsh fish man-db prometheus
    containerd docker.io podman conmon python3-grpcio"
fi
if [ "${1:-}" = --vm ]; then
  packages="$packages qemu-system-x86 cpio busybox-static xz-utils zstd binutils libc-bin"
fi
if [ "${1:-}" = --package ] || [ "${1:-}" = --deploy ]; then
  packages="$packages dpkg-dev file"
fi
if [ "${1:-}" = --deploy ]; then
  packages="$packages lintian mmdebstrap systemd podman runc conmon python3-yaml"
fi
if [ "${1:-}" = --bench ]; then
  packages="$packages libbenchmark-dev util-linux mount"
fi

missing=""
for package in $packages; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-deps: these packages are missing; run as root: apt-get install$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086  # a list of words
apt-get install -y -q --no-install-recommends $missing
