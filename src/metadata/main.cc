// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "metadata/docker.h"
#include "metadata/grpc_sources.h"
#include "metadata/host.h"
#include "metadata/hub.h"
#include "metadata/kubernetes.h"
#include "metadata/lines.h"
#include "metadata/oci_source.h"
#include "metadata/options.h"

namespace snoop::metadata {

namespace {

constexpr size_t kMaxLine = 64UL << 10;

/// All of it, or the end: nobody reads any more.
void write_out(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno != EINTR && errno != EAGAIN) {
      _exit(0);
    }
    rest.remove_prefix(written < 0 ? 0 : static_cast<size_t>(written));
  }
}

/// What root may do beyond the files that are root's is not needed: sockets and bundles are root's.
void drop_capabilities() {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (cap_t none = cap_init(); none != nullptr) {
    cap_set_proc(none);
    cap_free(none);
  }
}

std::unique_ptr<Source> source_of(const RuntimeSocket& socket, const Host& host, std::chrono::milliseconds timeout) {
  switch (socket.kind) {
    case RuntimeSocket::Kind::kCri:
      return std::make_unique<CriSource>(socket.path, host, timeout);
    case RuntimeSocket::Kind::kContainerd:
      return std::make_unique<ContainerdSource>(socket.path, host, timeout);
    case RuntimeSocket::Kind::kDocker:
      return std::make_unique<DockerSource>(socket.path, host, timeout);
    case RuntimeSocket::Kind::kPodman:
      return std::make_unique<PodmanSource>(socket.path, host, timeout);
  }
  return nullptr;
}

/// Until the standard input ends.
void answer_asks(Hub& hub) {
  std::string unread;
  // A line that is too long is skipped up to its end.
  bool is_skipping = false;
  while (true) {
    const std::optional<Hub::Clock::time_point> next = hub.tick();
    int wait_ms = -1;
    if (next) {
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - Hub::Clock::now());
      // What is due may still be looked for.
      wait_ms = static_cast<int>(std::clamp<int64_t>(wait.count(), 20, 10'000));
    }
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (poll(&input, 1, wait_ms) <= 0) {
      continue;
    }
    char buffer[16384];
    const ssize_t size = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (size <= 0) {
      return;
    }
    unread.append(buffer, static_cast<size_t>(size));
    size_t begin = 0;
    for (size_t end = unread.find('\n'); end != std::string::npos; end = unread.find('\n', begin)) {
      const std::string_view line = std::string_view(unread).substr(begin, end - begin);
      if (std::optional<Ask> ask = is_skipping ? std::nullopt : parse_ask(line)) {
        hub.ask(std::move(*ask));
      }
      is_skipping = false;
      begin = end + 1;
    }
    unread.erase(0, begin);
    if (unread.size() > kMaxLine) {
      unread.clear();
      is_skipping = true;
    }
  }
}

int run(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  if (options.exit_status) {
    return *options.exit_status;
  }
  std::signal(SIGPIPE, SIG_IGN);
  // They are snoop's, but may be sent to all of its processes, as by `systemctl kill`.
  std::signal(SIGUSR1, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  drop_capabilities();
  // Never destroyed: threads hold them until the process ends.
  const Host& host = *new Host(options.host_root);
  Hub& hub = *new Hub(write_out);
  for (const RuntimeSocket& socket : options.sockets) {
    hub.add(source_of(socket, host, options.timeout));
  }
  hub.add(std::make_unique<OciSource>(host));
  if (options.kubernetes) {
    hub.add(std::make_unique<KubernetesSource>(*options.kubernetes, options.timeout));
  }
  hub.start();
  if (options.list_only) {
    hub.wait_until_listed();
  } else {
    answer_asks(hub);
  }
  // Without waiting for threads that wait for others.
  std::fflush(nullptr);
  _exit(0);
}

}  // namespace

}  // namespace snoop::metadata

int main(int argc, char** argv) { return snoop::metadata::run(argc, argv); }
