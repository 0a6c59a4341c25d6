// SPDX-License-Identifier: Apache-2.0
#include "service/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace snoop {

namespace {

/// 0: not set, or no number.
uint64_t number_of(const char* variable) {
  const char* text = std::getenv(variable);
  uint64_t number = 0;
  if (text != nullptr) {
    std::from_chars(text, text + std::strlen(text), number);
  }
  return number;
}

}  // namespace

Notifier Notifier::from_environment() {
  Notifier notifier;
  const char* address = std::getenv("NOTIFY_SOCKET");
  if (address == nullptr || (*address != '/' && *address != '@') ||
      std::strlen(address) >= sizeof(sockaddr_un::sun_path)) {
    return notifier;
  }
  notifier.address_ = address;
  notifier.socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const uint64_t for_pid = number_of("WATCHDOG_PID");
  if (for_pid == 0 || for_pid == static_cast<uint64_t>(::getpid())) {
    notifier.alive_interval_ = std::chrono::microseconds(number_of("WATCHDOG_USEC") / 2);
  }
  return notifier;
}

void Notifier::send(const std::string& text) {
  if (!socket_) {
    return;
  }
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  if (to.sun_path[0] == '@') {
    to.sun_path[0] = '\0';  // the abstract namespace
  }
  [[maybe_unused]] const ssize_t sent =
      ::sendto(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size);
}

}  // namespace snoop
