// SPDX-License-Identifier: Apache-2.0
#include "service/http_server.h"

#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <utility>

namespace snoop {

namespace {

namespace http = boost::beast::http;

/// What one connection may send before the others have their turn.
constexpr size_t kBytesOfTurn = 256UL * 1024;
constexpr int kConnectionsOfTurn = 16;
constexpr std::chrono::seconds kPause{1};

struct Parsed {
  /// 0: there is more to come; 200, or what is wrong.
  int status = 0;
  std::string path = {};
  bool is_head = false;
};

Parsed parse(const std::string& bytes) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(HttpServer::kMaxRequestBytes);
  parser.eager(false);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(bytes), error);
  if (error == http::error::header_limit || bytes.size() > HttpServer::kMaxRequestBytes) {
    return {.status = 431};
  }
  if (error == http::error::need_more || (!error && !parser.is_header_done())) {
    return {};
  }
  if (error) {
    return {.status = 400};
  }
  const auto& request = parser.get();
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    return {.status = 405};
  }
  const auto target = request.target();
  const std::string path(target.data(), target.size());
  return {.status = 200, .path = path.substr(0, path.find('?')), .is_head = request.method() == http::verb::head};
}

HttpResponse text_of(int status) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return {.status = status, .body = std::string(reason.data(), reason.size()) + "\n"};
}

}  // namespace

HttpServer::HttpServer(EventLoop& loop, Listener listener, Handler handler, Timer timer)
    : loop_(loop), listener_(std::move(listener)), handler_(std::move(handler)), timer_(std::move(timer)) {}

HttpServer::~HttpServer() {
  while (!connections_.empty()) {
    close(connections_.begin()->first);
  }
  loop_.unwatch(listener_.fd());
  loop_.unwatch(timer_.fd());
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(EventLoop& loop, Listener listener, Handler handler) {
  Result<Timer> timer = Timer::create();
  if (!timer) {
    return fail(timer.error(), "http");
  }
  std::unique_ptr<HttpServer> server(new HttpServer(loop, std::move(listener), std::move(handler), std::move(*timer)));
  HttpServer* self = server.get();
  if (Result<void> done = loop.watch(self->timer_.fd(), [self] { self->on_timer(); }); !done) {
    return fail(done.error(), "http");
  }
  if (Result<void> done = self->watch_listener(); !done) {
    return fail(done.error(), "http");
  }
  return server;
}

Result<void> HttpServer::watch_listener() {
  return loop_.watch(listener_.fd(), [this] { on_connections(); });
}

void HttpServer::on_connections() {
  for (int i = 0; i < kConnectionsOfTurn; i++) {
    UniqueFd fd(::accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      add(std::move(fd));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // It would be readable again at once.
      loop_.unwatch(listener_.fd());
      paused_until_ = Clock::now() + kPause;
      break;
    } else if (errno == EAGAIN) {
      break;
    }
  }
  set_timer();
}

void HttpServer::add(UniqueFd fd) {
  if (connections_.size() >= kMaxConnections) {
    make_room();
  }
  const int number = fd.get();
  if (!loop_.watch(number, [this, number] { on_readable(number); })) {
    return;
  }
  const Clock::time_point now = Clock::now();
  const bool local = is_local(number);
  connections_.emplace(
      number, Connection{.fd = std::move(fd), .is_local = local, .begun = now, .deadline = now + kRequestTime});
}

void HttpServer::make_room() {
  const auto goes_first = [](const auto& a, const auto& b) {
    return std::pair(a.second.is_answered, a.second.begun) < std::pair(b.second.is_answered, b.second.begun);
  };
  close(std::min_element(connections_.begin(), connections_.end(), goes_first)->first);
}

void HttpServer::on_readable(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end() || found->second.is_answered) {
    return;
  }
  Connection& connection = found->second;
  std::array<char, 4096> buffer = {};
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      close(fd);
    }
    return;
  }
  connection.bytes.append(buffer.data(), static_cast<size_t>(got));
  Parsed parsed = parse(connection.bytes);
  if (parsed.status == 0) {
    return;
  }
  if (parsed.status != 200) {
    answer(connection, text_of(parsed.status), true);
  } else {
    answer(connection, handler_({.path = std::move(parsed.path), .is_local = connection.is_local}), !parsed.is_head);
  }
}

void HttpServer::answer(Connection& connection, HttpResponse response, bool with_body) {
  const int fd = connection.fd.get();
  if (response.file && with_body) {
    const auto is_transfer = [](const auto& other) { return static_cast<bool>(other.second.file); };
    if (std::count_if(connections_.begin(), connections_.end(), is_transfer) >=
        static_cast<std::ptrdiff_t>(kMaxTransfers)) {
      response = text_of(503);
    }
  }
  size_t size = response.body.size();
  if (response.file) {
    struct stat info = {};
    ::fstat(response.file.get(), &info);
    size = static_cast<size_t>(info.st_size);
    response.body.clear();
  }
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  connection.bytes = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}{}Connection: close\r\n\r\n",
      response.status, std::string_view(reason.data(), reason.size()), response.content_type, size,
      response.status == 405 ? "Allow: GET, HEAD\r\n" : "", response.status == 503 ? "Retry-After: 1\r\n" : "");
  if (with_body) {
    connection.bytes += response.body;
    connection.file = std::move(response.file);
    connection.file_size = connection.file ? static_cast<off_t>(size) : 0;
  }
  connection.is_answered = true;
  connection.deadline = Clock::now() + kResponseTime;
  loop_.unwatch(fd);
  if (!loop_.watch_writable(fd, [this, fd] { on_writable(fd); })) {
    close(fd);
    return;
  }
  set_timer();
}

void HttpServer::on_writable(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end() || !found->second.is_answered) {
    return;
  }
  Connection& connection = found->second;
  ssize_t sent = 0;
  if (connection.sent < connection.bytes.size()) {
    const size_t left = connection.bytes.size() - connection.sent;
    sent = ::send(fd, connection.bytes.data() + connection.sent, std::min(left, kBytesOfTurn), MSG_NOSIGNAL);
    connection.sent += sent > 0 ? static_cast<size_t>(sent) : 0;
  } else if (connection.file_sent < connection.file_size) {
    const auto left = static_cast<size_t>(connection.file_size - connection.file_sent);
    sent = ::sendfile(fd, connection.file.get(), &connection.file_sent, std::min(left, kBytesOfTurn));
    if (sent == 0) {
      errno = EIO;  // shorter than it was
      sent = -1;
    }
  }
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) {
      close(fd);
    }
    return;
  }
  if (connection.sent == connection.bytes.size() && connection.file_sent == connection.file_size) {
    // What was not read would turn the end of the answer into a reset.
    std::array<char, 4096> rest = {};
    [[maybe_unused]] const ssize_t ignored = ::recv(fd, rest.data(), rest.size(), 0);
    close(fd);
  }
}

void HttpServer::close(int fd) {
  loop_.unwatch(fd);
  connections_.erase(fd);
  set_timer();
}

void HttpServer::on_timer() {
  timer_.acknowledge();
  const Clock::time_point now = Clock::now();
  for (auto at = connections_.begin(); at != connections_.end();) {
    const int fd = at->first;
    const bool late = at->second.deadline <= now;
    at++;
    if (late) {
      close(fd);
    }
  }
  if (paused_until_ && *paused_until_ <= now) {
    paused_until_.reset();
    [[maybe_unused]] const Result<void> watched = watch_listener();
  }
  set_timer();
}

/// At the first deadline; not at all where there is none.
void HttpServer::set_timer() {
  Clock::time_point next = paused_until_.value_or(Clock::time_point::max());
  for (const auto& [fd, connection] : connections_) {
    next = std::min(next, connection.deadline);
  }
  if (next == Clock::time_point::max()) {
    timer_.stop();
    return;
  }
  timer_.start(std::max<std::chrono::nanoseconds>(next - Clock::now(), std::chrono::milliseconds(1)));
}

}  // namespace snoop
