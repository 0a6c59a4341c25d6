// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "service/listener.h"

namespace snoop {

struct HttpRequest {
  /// Without what follows a '?'.
  std::string path;
  /// From this machine, or this pod.
  bool is_local = false;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
  /// Sent instead of the body: the file, as long as it is now. By the kernel, so that
  /// its size costs no memory.
  UniqueFd file = {};
};

/// Answers GET and HEAD, one for each connection, from the event loop: no thread,
/// and no wake-up while nobody asks. All is bounded: connections, the size of a
/// request, and the time that either side takes. Where there are too many
/// connections, the oldest that has not said what it wants makes room: whoever is
/// slow harms nobody else.
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  static constexpr size_t kMaxConnections = 32;
  static constexpr size_t kMaxRequestBytes = 8192;
  /// How many may be sent a file at a time; the next one gets 503.
  static constexpr size_t kMaxTransfers = 2;
  static constexpr std::chrono::seconds kRequestTime{5};
  static constexpr std::chrono::seconds kResponseTime{60};

  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> start(EventLoop& loop, Listener listener, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] const std::string& name() const { return listener_.name(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    UniqueFd fd;
    bool is_local = false;
    bool is_answered = false;
    Clock::time_point begun;
    Clock::time_point deadline;
    /// The request until it is answered, then the answer.
    std::string bytes = {};
    size_t sent = 0;
    UniqueFd file = {};
    off_t file_sent = 0;
    off_t file_size = 0;
  };

  HttpServer(EventLoop& loop, Listener listener, Handler handler, Timer timer);
  [[nodiscard]] Result<void> watch_listener();
  void on_connections();
  void add(UniqueFd fd);
  void make_room();
  void on_readable(int fd);
  void on_writable(int fd);
  void answer(Connection& connection, HttpResponse response, bool with_body);
  void close(int fd);
  void on_timer();
  void set_timer();

  EventLoop& loop_;
  Listener listener_;
  Handler handler_;
  Timer timer_;
  std::map<int, Connection> connections_;
  /// Out of file descriptors: until then no connection is taken.
  std::optional<Clock::time_point> paused_until_;
};

}  // namespace snoop
