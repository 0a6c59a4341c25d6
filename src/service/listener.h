// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace snoop {

/// Where a service listens.
struct ListenAddress {
  enum class Kind { kOff, kInternet, kUnix };
  Kind kind = Kind::kOff;
  /// An IP address, without brackets; empty: all of this machine.
  std::string host = {};
  uint16_t port = 0;
  /// Of the unix socket.
  std::string path = {};
};

/// Reads "off", ":PORT", "ADDRESS:PORT", "[ADDRESS]:PORT", "localhost:PORT" or "unix:PATH".
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

/// A socket that listens. What it made in the file system goes with it.
class Listener {
 public:
  /// EADDRINUSE also where a unix socket of this name has somebody behind it; one
  /// that nobody listens at any more is replaced.
  [[nodiscard]] static Result<Listener> open(const ListenAddress& address);
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// With the port that it has really got.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  Listener(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  [[nodiscard]] static Result<Listener> open_unix(const std::string& path);
  [[nodiscard]] static Result<Listener> open_internet(const ListenAddress& address);

  UniqueFd fd_;
  std::string name_;
  /// Of a unix socket, to know it again: another process may have put its own there.
  std::string path_;
  ino_t inode_ = 0;
};

/// Whether the peer of a connection is on this machine (or in this pod).
[[nodiscard]] bool is_local(int connection);

}  // namespace snoop
