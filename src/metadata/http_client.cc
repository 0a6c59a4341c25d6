// SPDX-License-Identifier: Apache-2.0
#include "metadata/http_client.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

namespace snoop::metadata {

namespace {

namespace http = boost::beast::http;
using boost::system::error_code;
using Kind = SourceState::Kind;

constexpr unsigned kMaxHeaderBytes = 64 * 1024;
constexpr size_t kMaxUnparsedBytes = 256UL << 10;
constexpr size_t kMaxLineBytes = 1UL << 20;

std::string request_for(const HttpServer& server, const std::string& target,
                        const std::map<std::string, std::string>& headers) {
  std::string request = "GET " + target + " HTTP/1.1\r\n";
  request += "Host: " + (server.host.empty() ? "localhost" : server.host) + "\r\n";
  request += "User-Agent: snoop-metadata\r\nConnection: close\r\n";
  for (const auto& [name, value] : headers) {
    request.append(name).append(": ").append(value).append("\r\n");
  }
  return request + "\r\n";
}

/// Feeds Beast's parser from a connection. The parser has the limits of the header; the body is taken in pieces:
/// Beast's own bodies reserve what the header says before they look at a limit.
class Answer {
 public:
  explicit Answer(Connection& connection) : connection_(connection) {
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(std::numeric_limits<uint64_t>::max());
  }

  [[nodiscard]] int status() const { return static_cast<int>(parser_.get().result_int()); }

  /// To its end. `take(piece)` gets the body, and ends it where it gives another state than kAnswered.
  template <typename Take>
  SourceState read(const Connection::Deadline& deadline, Take take) {
    char body[16384];
    bool needs_more = true;
    while (true) {
      if (needs_more) {
        SourceState state = read_more(deadline);
        if (state.kind != Kind::kAnswered || parser_.is_done()) {
          return state;
        }
      }
      parser_.get().body().data = static_cast<char*>(body);
      parser_.get().body().size = sizeof(body);
      error_code error;
      unparsed_.erase(0, parser_.put(boost::asio::buffer(unparsed_), error));
      if ((error && error != http::error::need_more && error != http::error::need_buffer) ||
          unparsed_.size() > kMaxUnparsedBytes) {
        return {Kind::kFailed, "the answer: " + (error ? error.message() : "too long a line")};
      }
      needs_more = unparsed_.empty() || error == http::error::need_more;
      if (parser_.is_header_done()) {
        SourceState state = take(std::string_view(body, sizeof(body) - parser_.get().body().size));
        if (state.kind != Kind::kAnswered || parser_.is_done()) {
          return state;
        }
      }
    }
  }

 private:
  SourceState read_more(const Connection::Deadline& deadline) {
    char buffer[16384];
    size_t size = 0;
    SourceState state = connection_.read(static_cast<char*>(buffer), sizeof(buffer), size, deadline);
    unparsed_.append(static_cast<const char*>(buffer), size);
    if (state.kind == Kind::kAnswered && size == 0) {
      // An answer without a length ends here.
      error_code error;
      if (parser_.got_some()) {
        parser_.put_eof(error);
      }
      if (error || !parser_.is_done()) {
        return {Kind::kFailed, "the answer ends in its middle"};
      }
    }
    return state;
  }

  Connection& connection_;
  http::response_parser<http::buffer_body> parser_;
  std::string unparsed_;
};

}  // namespace

HttpClient::HttpClient(HttpServer server, std::chrono::milliseconds timeout, size_t max_body_bytes)
    : server_(std::move(server)), timeout_(timeout), max_body_bytes_(max_body_bytes) {}

std::unique_ptr<Connection> HttpClient::ask(const std::string& target,
                                            const std::map<std::string, std::string>& headers,
                                            const Connection::Deadline& deadline, SourceState& state) const {
  std::unique_ptr<Connection> connection = Connection::open(server_, deadline, state);
  if (connection) {
    state = connection->write(request_for(server_, target, headers), deadline);
  }
  return connection;
}

HttpAnswer HttpClient::get(const std::string& target, const std::map<std::string, std::string>& headers) const {
  HttpAnswer result;
  const Connection::Deadline deadline = std::chrono::steady_clock::now() + timeout_;
  const std::unique_ptr<Connection> connection = ask(target, headers, deadline, result.state);
  if (result.state.kind != Kind::kAnswered) {
    return result;
  }
  Answer answer(*connection);
  result.state = answer.read(deadline, [&](std::string_view piece) {
    result.body += piece;
    return result.body.size() <= max_body_bytes_ ? SourceState{Kind::kAnswered}
                                                 : SourceState{Kind::kFailed, "the answer is too large"};
  });
  result.status = answer.status();
  return result;
}

SourceState HttpClient::follow(const std::string& target, const std::function<void()>& connected,
                               const std::function<void(std::string_view)>& line) const {
  SourceState state;
  const std::unique_ptr<Connection> connection = ask(target, {}, std::chrono::steady_clock::now() + timeout_, state);
  if (state.kind != Kind::kAnswered) {
    return state;
  }
  connected();
  Answer answer(*connection);
  std::string unread;
  state = answer.read(std::nullopt, [&](std::string_view piece) -> SourceState {
    constexpr int kOk = 200;
    if (answer.status() != kOk) {
      return {Kind::kFailed, "events: status " + std::to_string(answer.status())};
    }
    unread += piece;
    size_t begin = 0;
    for (size_t end = unread.find('\n'); end != std::string::npos; end = unread.find('\n', begin)) {
      line(std::string_view(unread).substr(begin, end - begin));
      begin = end + 1;
    }
    unread.erase(0, begin);
    return unread.size() <= kMaxLineBytes ? SourceState{Kind::kAnswered}
                                          : SourceState{Kind::kFailed, "events: a line without an end"};
  });
  return state.kind == Kind::kAnswered ? SourceState{Kind::kFailed, "events: the stream ended"} : state;
}

std::string url_encoded(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

}  // namespace snoop::metadata
