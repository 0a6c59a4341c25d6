// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "metadata/connection.h"
#include "metadata/lines.h"

namespace snoop::metadata {

struct HttpAnswer {
  /// kAnswered: whatever the server's status is.
  SourceState state;
  int status = 0;
  std::string body;
};

/// One request for each connection, each with a deadline for all of it, and limits for what comes back.
class HttpClient {
 public:
  HttpClient(HttpServer server, std::chrono::milliseconds timeout, size_t max_body_bytes);

  [[nodiscard]] HttpAnswer get(const std::string& target, const std::map<std::string, std::string>& headers = {}) const;

  /// An answer without an end, line by line, until the connection ends or a line is too long. `connected` is called
  /// when the question is sent: Podman's answer begins with what happens first.
  SourceState follow(const std::string& target, const std::function<void()>& connected,
                     const std::function<void(std::string_view)>& line) const;

 private:
  /// Connects and sends the question.
  [[nodiscard]] std::unique_ptr<Connection> ask(const std::string& target,
                                                const std::map<std::string, std::string>& headers,
                                                const Connection::Deadline& deadline, SourceState& state) const;

  HttpServer server_;
  std::chrono::milliseconds timeout_;
  size_t max_body_bytes_;
};

/// For a part of a query or a path.
[[nodiscard]] std::string url_encoded(std::string_view text);

}  // namespace snoop::metadata
