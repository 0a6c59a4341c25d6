// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "metadata/lines.h"

namespace snoop::metadata {

/// Whom to talk to: a unix socket, or over TLS a host whose certificate must be of this authority.
struct HttpServer {
  std::string socket = {};

  std::string host = {};
  std::string port = {};
  /// PEM.
  std::string authority_file = {};
};

/// A stream of bytes that never waits longer than until its deadline.
class Connection {
 public:
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  /// Connects; nothing where the state is not kAnswered.
  [[nodiscard]] static std::unique_ptr<Connection> open(const HttpServer& server, const Deadline& deadline,
                                                        SourceState& state);
  Connection() = default;
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// All of it.
  virtual SourceState write(std::string_view bytes, const Deadline& deadline) = 0;
  /// What comes next; of size 0 at the end.
  virtual SourceState read(char* buffer, size_t capacity, size_t& size, const Deadline& deadline) = 0;
};

/// Connects to a unix socket, without waiting. The state says why not.
[[nodiscard]] SourceState connect_socket(const std::string& path, int& fd);

}  // namespace snoop::metadata
