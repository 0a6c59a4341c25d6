// SPDX-License-Identifier: Apache-2.0
#include "service/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <vector>

namespace snoop {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// Server and clients in one loop.
class HttpServerTest : public testing::Test {
 protected:
  struct Client {
    UniqueFd fd;
    std::string received = {};
    bool ended = false;
  };

  HttpServerTest() {
    loop_ = std::move(*EventLoop::create());
    limit_ = std::move(*Timer::create());
    EXPECT_TRUE(loop_->watch(limit_->fd(), [this] {
      limit_->acknowledge();
      loop_->stop();
    }));
    Result<Listener> listener =
        Listener::open({.kind = ListenAddress::Kind::kInternet, .host = "127.0.0.1", .port = 0});
    EXPECT_TRUE(listener);
    port_ = parse_listen_address(listener->name())->port;
    server_ = std::move(*HttpServer::start(*loop_, std::move(*listener),
                                           [this](const HttpRequest& request) { return answer(request); }));
  }

  HttpResponse answer(const HttpRequest& request) {
    asked_.push_back(request.path);
    EXPECT_TRUE(request.is_local);
    if (request.path != "/file") {
      return {.body = "you asked for " + request.path};
    }
    HttpResponse response;
    response.file = UniqueFd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(response.file.get(), static_cast<off_t>(file_size_)), 0);
    EXPECT_EQ(::pwrite(response.file.get(), "begin", 5, 0), 5);
    EXPECT_EQ(::pwrite(response.file.get(), "end", 3, static_cast<off_t>(file_size_) - 3), 3);
    return response;
  }

  std::unique_ptr<Client> connect() {
    auto client = std::make_unique<Client>(Client{UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))});
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(client->fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    ::fcntl(client->fd.get(), F_SETFL, O_NONBLOCK);
    return client;
  }
  static void send(const Client& client, std::string_view bytes) {
    ASSERT_EQ(::send(client.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void run(milliseconds at_most) {
    limit_->start(at_most);
    ASSERT_TRUE(loop_->run());
    limit_->stop();
  }
  /// All that the client gets until the server closes.
  std::string receive(Client& client) {
    const auto on_readable = [&] {
      std::array<char, 65536> buffer = {};
      const ssize_t got = ::recv(client.fd.get(), buffer.data(), buffer.size(), 0);
      if (got > 0) {
        client.received.append(buffer.data(), static_cast<size_t>(got));
      } else {
        client.ended = true;
        loop_->stop();
      }
    };
    EXPECT_TRUE(loop_->watch(client.fd.get(), on_readable));
    run(milliseconds(20'000));
    loop_->unwatch(client.fd.get());
    EXPECT_TRUE(client.ended);
    return client.received;
  }
  std::string exchange(std::string_view request) {
    const auto client = connect();
    send(*client, request);
    return receive(*client);
  }

  std::optional<EventLoop> loop_;
  std::optional<Timer> limit_;
  uint16_t port_ = 0;
  size_t file_size_ = 5'000'000;
  std::vector<std::string> asked_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, Answers) {
  const std::string text = exchange("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\nContent-Length: 16\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\nyou asked for /a"));
  EXPECT_THAT(exchange("GET /old HTTP/1.0\r\n\r\n"), EndsWith("you asked for /old"));
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  const std::string text = exchange("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(text, HasSubstr("\r\nContent-Length: 16\r\n"));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
  EXPECT_THAT(exchange("HEAD /file HTTP/1.1\r\n\r\n"), HasSubstr("\r\nContent-Length: 5000000\r\n"));
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
  const auto client = connect();
  for (const char c : std::string_view("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")) {
    send(*client, {&c, 1});
    run(milliseconds(1));
  }
  EXPECT_THAT(receive(*client), EndsWith("you asked for /slow"));
}

TEST_F(HttpServerTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(exchange("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
              testing::AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET, HEAD\r\n")));
  for (const char* request : {"GET\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x01\r\n\r\n\r\n",
                              "GET /a HTTP/1.1\r\nno colon\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    EXPECT_THAT(exchange(request), StartsWith("HTTP/1.1 400 ")) << request;
  }
  EXPECT_THAT(exchange("GET /" + std::string(HttpServer::kMaxRequestBytes, 'a')), StartsWith("HTTP/1.1 431 "));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(HttpServerTest, SendsAFile) {
  const std::string text = exchange("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
  const size_t head = text.find("\r\n\r\n") + 4;
  EXPECT_EQ(text.size() - head, file_size_);
  EXPECT_EQ(text.substr(head, 5), "begin");
  EXPECT_THAT(text, EndsWith("end"));
}

TEST_F(HttpServerTest, SendsAFileToAFewAtATime) {
  file_size_ = 50'000'000;  // more than sockets take up
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < HttpServer::kMaxTransfers; i++) {
    clients.push_back(connect());
    send(*clients.back(), "GET /file HTTP/1.1\r\n\r\n");
    run(milliseconds(20));
  }
  EXPECT_THAT(exchange("GET /file HTTP/1.1\r\n\r\n"),
              testing::AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("\r\nRetry-After: 1\r\n")));
  EXPECT_THAT(exchange("GET /a HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  for (const auto& client : clients) {
    EXPECT_THAT(receive(*client), EndsWith("end"));
  }
  EXPECT_THAT(exchange("GET /file HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, TheSlowMakeRoom) {
  std::vector<std::unique_ptr<Client>> slow;
  for (size_t i = 0; i < 2 * HttpServer::kMaxConnections; i++) {
    slow.push_back(connect());
    send(*slow.back(), "GET /never");
    run(milliseconds(2));
  }
  EXPECT_THAT(exchange("GET /a HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  // The first ones had to go, without a word.
  EXPECT_EQ(receive(*slow.front()), "");
}

TEST_F(HttpServerTest, ClosesWhatTakesTooLong) {
  const auto client = connect();
  const auto begun = std::chrono::steady_clock::now();
  send(*client, "GET /never");
  EXPECT_EQ(receive(*client), "");
  EXPECT_GE(std::chrono::steady_clock::now() - begun, HttpServer::kRequestTime - milliseconds(100));
}

TEST_F(HttpServerTest, GoesWithOpenConnections) {
  const auto client = connect();
  run(milliseconds(5));
  server_.reset();
  EXPECT_EQ(receive(*client), "");
}

}  // namespace
}  // namespace snoop
