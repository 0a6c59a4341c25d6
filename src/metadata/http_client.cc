// SPDX-License-Identifier: Apache-2.0
#include "metadata/http_client.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <optional>
#include <string>
#include <utility>

namespace snoop::metadata {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr unsigned kMaxHeaderBytes = 64 * 1024;
constexpr size_t kMaxLineBytes = 1UL << 20;

SourceState state_of(const error_code& error, const char* what) {
  using Kind = SourceState::Kind;
  if (!error) {
    return {Kind::kAnswered};
  }
  if (error == asio::error::timed_out || error == asio::error::operation_aborted) {
    return {Kind::kTimedOut, std::string(what) + ": no answer in time"};
  }
  if (error == boost::system::errc::no_such_file_or_directory) {
    return {Kind::kMissing};
  }
  const bool is_refusal = error == asio::error::connection_refused || error == boost::system::errc::permission_denied;
  return {is_refusal ? Kind::kRefused : Kind::kFailed, std::string(what) + ": " + error.message()};
}

/// Runs one operation of a connection to its end, or to the deadline.
class Turn {
 public:
  Turn(asio::io_context& io, std::optional<Clock::time_point> deadline) : io_(io), deadline_(deadline) {}

  /// `start` begins it with this as its handler; `cancel` ends it.
  template <typename Start, typename Cancel>
  error_code run(Start start, Cancel cancel) {
    std::optional<error_code> result;
    start([&result](const error_code& error, auto&&...) { result = error; });
    io_.restart();
    if (deadline_) {
      io_.run_until(*deadline_);
    } else {
      io_.run();
    }
    if (!result) {
      cancel();
      io_.restart();
      io_.run();
      return asio::error::timed_out;
    }
    return *result;
  }

 private:
  asio::io_context& io_;
  std::optional<Clock::time_point> deadline_;
};

/// A GET on a connected stream.
template <typename Stream>
class Exchange {
 public:
  Exchange(asio::io_context& io, Stream& stream, Clock::time_point deadline)
      : io_(io), stream_(stream), deadline_(deadline) {}

  error_code send(const http::request<http::empty_body>& request) {
    return run([&](auto handler) { http::async_write(stream_, request, std::move(handler)); });
  }
  template <typename Parser>
  error_code read_header(Parser& parser) {
    parser.header_limit(kMaxHeaderBytes);
    return run([&](auto handler) { http::async_read_header(stream_, buffer_, parser, std::move(handler)); });
  }
  template <typename Parser>
  error_code read(Parser& parser) {
    return run([&](auto handler) { http::async_read(stream_, buffer_, parser, std::move(handler)); });
  }
  template <typename Parser>
  error_code read_some(Parser& parser) {
    return run([&](auto handler) { http::async_read_some(stream_, buffer_, parser, std::move(handler)); });
  }
  void forget_deadline() { deadline_.reset(); }

 private:
  template <typename Start>
  error_code run(Start start) {
    return Turn(io_, deadline_).run(std::move(start), [this] { beast::get_lowest_layer(stream_).close(); });
  }

  asio::io_context& io_;
  Stream& stream_;
  std::optional<Clock::time_point> deadline_;
  beast::flat_buffer buffer_{kMaxHeaderBytes + 64 * 1024};
};

http::request<http::empty_body> request_for(const HttpServer& server, const std::string& target,
                                            const std::map<std::string, std::string>& headers) {
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, server.host.empty() ? "localhost" : server.host);
  request.set(http::field::user_agent, "snoop-metadata");
  request.set(http::field::connection, "close");
  for (const auto& [name, value] : headers) {
    request.set(name, value);
  }
  return request;
}

/// Connects, and calls `talk(exchange)`.
template <typename Talk>
SourceState with_connection(const HttpServer& server, std::chrono::milliseconds timeout, Talk talk) {
  const Clock::time_point deadline = Clock::now() + timeout;
  asio::io_context io;
  if (!server.socket.empty()) {
    using Local = asio::local::stream_protocol;
    if (server.socket.size() > 107) {
      return {SourceState::Kind::kFailed, "the socket's path is longer than the 107 bytes that there may be"};
    }
    beast::basic_stream<Local> stream(io);
    const error_code error =
        Turn(io, deadline)
            .run([&](auto handler) { stream.async_connect(Local::endpoint(server.socket), std::move(handler)); },
                 [&] { stream.close(); });
    if (error) {
      return state_of(error, "connecting");
    }
    Exchange exchange(io, stream, deadline);
    return talk(exchange);
  }

  error_code error;
  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_verify_mode(asio::ssl::verify_peer);
  tls.load_verify_file(server.authority_file, error);
  if (error) {
    return {SourceState::Kind::kFailed, "the certificate authority's file: " + error.message()};
  }
  // Kubernetes names its API by address.
  const asio::ip::address address = asio::ip::make_address(server.host, error);
  asio::ip::tcp::resolver::results_type addresses;
  asio::ip::tcp::resolver resolver(io);
  if (!error) {
    const int port = std::atoi(server.port.c_str());
    addresses = asio::ip::tcp::resolver::results_type::create(
        asio::ip::tcp::endpoint(address, static_cast<unsigned short>(port)), server.host, server.port);
  } else {
    error = Turn(io, deadline)
                .run(
                    [&](auto handler) {
                      resolver.async_resolve(server.host, server.port,
                                             [&addresses, handler](const error_code& result, auto found) mutable {
                                               addresses = found;
                                               handler(result);
                                             });
                    },
                    [&] { resolver.cancel(); });
    if (error) {
      return state_of(error, "looking up the server's name");
    }
  }
  beast::ssl_stream<beast::tcp_stream> stream(io, tls);
  const auto close = [&] { beast::get_lowest_layer(stream).close(); };
  error = Turn(io, deadline)
              .run([&](auto handler) { beast::get_lowest_layer(stream).async_connect(addresses, std::move(handler)); },
                   close);
  if (error) {
    return state_of(error, "connecting");
  }
  stream.set_verify_callback(asio::ssl::host_name_verification(server.host));
  SSL_set_tlsext_host_name(stream.native_handle(), server.host.c_str());
  error = Turn(io, deadline)
              .run([&](auto handler) { stream.async_handshake(asio::ssl::stream_base::client, std::move(handler)); },
                   close);
  if (error) {
    return state_of(error, "TLS");
  }
  Exchange exchange(io, stream, deadline);
  return talk(exchange);
}

}  // namespace

HttpClient::HttpClient(HttpServer server, std::chrono::milliseconds timeout, size_t max_body_bytes)
    : server_(std::move(server)), timeout_(timeout), max_body_bytes_(max_body_bytes) {}

HttpAnswer HttpClient::get(const std::string& target, const std::map<std::string, std::string>& headers) const {
  HttpAnswer answer;
  answer.state = with_connection(server_, timeout_, [&](auto& exchange) -> SourceState {
    if (const error_code error = exchange.send(request_for(server_, target, headers))) {
      return state_of(error, "asking");
    }
    http::response_parser<http::string_body> parser;
    parser.body_limit(max_body_bytes_);
    error_code error = exchange.read_header(parser);
    if (!error) {
      error = exchange.read(parser);
    }
    // Not every server says goodbye as TLS wants it; what the header promised must be there.
    if (error && !parser.is_done()) {
      return state_of(error, "reading the answer");
    }
    answer.status = static_cast<int>(parser.get().result_int());
    answer.body = std::move(parser.get().body());
    return {SourceState::Kind::kAnswered};
  });
  return answer;
}

SourceState HttpClient::follow(const std::string& target, const std::function<void()>& connected,
                               const std::function<void(std::string_view)>& line) const {
  return with_connection(server_, timeout_, [&](auto& exchange) -> SourceState {
    if (const error_code error = exchange.send(request_for(server_, target, {}))) {
      return state_of(error, "asking");
    }
    connected();
    exchange.forget_deadline();
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    if (const error_code error = exchange.read_header(parser)) {
      return state_of(error, "reading the answer");
    }
    if (parser.get().result() != http::status::ok) {
      return {SourceState::Kind::kFailed, "events: status " + std::to_string(parser.get().result_int())};
    }
    std::string unread;
    char buffer[16384];
    while (!parser.is_done()) {
      parser.get().body().data = buffer;
      parser.get().body().size = sizeof(buffer);
      const error_code error = exchange.read_some(parser);
      unread.append(buffer, sizeof(buffer) - parser.get().body().size);
      size_t begin = 0;
      for (size_t end = unread.find('\n'); end != std::string::npos; end = unread.find('\n', begin)) {
        line(std::string_view(unread).substr(begin, end - begin));
        begin = end + 1;
      }
      unread.erase(0, begin);
      if (unread.size() > kMaxLineBytes) {
        return {SourceState::Kind::kFailed, "events: a line without an end"};
      }
      if (error && error != http::error::need_buffer) {
        return state_of(error, "reading events");
      }
    }
    return {SourceState::Kind::kFailed, "events: the stream ended"};
  });
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
