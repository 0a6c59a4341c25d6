// SPDX-License-Identifier: Apache-2.0
#include "metadata/connection.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace snoop::metadata {

namespace {

using Clock = std::chrono::steady_clock;
using Kind = SourceState::Kind;
using Deadline = Connection::Deadline;

SourceState failed(int error, const char* what) {
  switch (error) {
    case ENOENT:
      return {Kind::kMissing};
    case ECONNREFUSED:
    case EACCES:
    case EPERM:
      return {Kind::kRefused, std::string(what) + ": " + strerrordesc_np(error)};
    default:
      return {Kind::kFailed, std::string(what) + ": " + strerrordesc_np(error)};
  }
}

/// Until something can be done with a descriptor.
SourceState wait_for(int fd, short events, const Deadline& deadline, const char* what) {
  while (true) {
    int wait_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
      wait_ms = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
    }
    pollfd polled{.fd = fd, .events = events, .revents = 0};
    const int ready = poll(&polled, 1, wait_ms);
    if (ready > 0) {
      return {Kind::kAnswered};
    }
    if (ready < 0 && errno != EINTR) {
      return failed(errno, what);
    }
    if (deadline && Clock::now() >= *deadline) {
      return {Kind::kTimedOut, std::string(what) + ": no answer in time"};
    }
  }
}

class SocketConnection : public Connection {
 public:
  explicit SocketConnection(UniqueFd fd) : fd_(std::move(fd)) {}

  SourceState write(std::string_view bytes, const Deadline& deadline) override {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno != EAGAIN && errno != EINTR) {
        return failed(errno, "asking");
      } else if (SourceState state = wait_for(fd_.get(), POLLOUT, deadline, "asking"); state.kind != Kind::kAnswered) {
        return state;
      }
    }
    return {Kind::kAnswered};
  }

  SourceState read(char* buffer, size_t capacity, size_t& size, const Deadline& deadline) override {
    size = 0;
    while (true) {
      if (SourceState state = wait_for(fd_.get(), POLLIN, deadline, "reading the answer");
          state.kind != Kind::kAnswered) {
        return state;
      }
      const ssize_t received = recv(fd_.get(), buffer, capacity, 0);
      if (received >= 0) {
        size = static_cast<size_t>(received);
        return {Kind::kAnswered};
      }
      if (errno != EAGAIN && errno != EINTR) {
        return failed(errno, "reading the answer");
      }
    }
  }

 private:
  UniqueFd fd_;
};

// --- TLS ---

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* tls) const { SSL_free(tls); }
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};

std::string tls_error() {
  const unsigned long error = ERR_get_error();
  char text[256] = "the connection was closed";
  if (error != 0) {
    ERR_error_string_n(error, static_cast<char*>(text), sizeof(text));
  }
  ERR_clear_error();
  return static_cast<const char*>(text);
}

class TlsConnection : public Connection {
 public:
  TlsConnection(UniqueFd fd, std::unique_ptr<SSL_CTX, Free> context, std::unique_ptr<SSL, Free> tls)
      : fd_(std::move(fd)), context_(std::move(context)), tls_(std::move(tls)) {}

  SourceState shake_hands(const Deadline& deadline) {
    int result = 0;
    SourceState state = run([&] { return result = SSL_connect(tls_.get()); }, "TLS", deadline);
    if (const long verified = SSL_get_verify_result(tls_.get()); state.kind == Kind::kFailed && verified != X509_V_OK) {
      state.error = std::string("TLS: the server's certificate: ") + X509_verify_cert_error_string(verified);
    }
    return state;
  }

  SourceState write(std::string_view bytes, const Deadline& deadline) override {
    size_t sent = 0;
    return run([&] { return SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &sent); }, "asking", deadline);
  }

  SourceState read(char* buffer, size_t capacity, size_t& size, const Deadline& deadline) override {
    size = 0;
    return run([&] { return SSL_read_ex(tls_.get(), buffer, capacity, &size); }, "reading the answer", deadline);
  }

 private:
  /// One of OpenSSL's operations to its end; at the end of the stream nothing was read.
  template <typename Operation>
  SourceState run(Operation operation, const char* what, const Deadline& deadline) {
    while (true) {
      ERR_clear_error();
      const int result = operation();
      if (result > 0) {
        return {Kind::kAnswered};
      }
      short events = 0;
      switch (SSL_get_error(tls_.get(), result)) {
        case SSL_ERROR_WANT_READ:
          events = POLLIN;
          break;
        case SSL_ERROR_WANT_WRITE:
          events = POLLOUT;
          break;
        case SSL_ERROR_ZERO_RETURN:
          return {Kind::kAnswered};
        default:
          return {Kind::kFailed, std::string(what) + ": " + tls_error()};
      }
      if (SourceState state = wait_for(fd_.get(), events, deadline, what); state.kind != Kind::kAnswered) {
        return state;
      }
    }
  }

  UniqueFd fd_;
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> tls_;
};

/// To the first of the host's addresses that takes it.
UniqueFd connect_host(const HttpServer& server, const Deadline& deadline, SourceState& state) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // Without a deadline of its own; Kubernetes names its API by address.
  if (const int error = getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found); error != 0) {
    state = {Kind::kFailed, std::string("looking up the server's name: ") + gai_strerror(error)};
    return UniqueFd();
  }
  const std::unique_ptr<addrinfo, Free> addresses(found);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    UniqueFd fd(socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      state = failed(errno, "connecting");
      continue;
    }
    int error = connect(fd.get(), address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      state = wait_for(fd.get(), POLLOUT, deadline, "connecting");
      if (state.kind != Kind::kAnswered) {
        return UniqueFd();
      }
      socklen_t size = sizeof(error);
      getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error == 0) {
      state = {Kind::kAnswered};
      return fd;
    }
    state = failed(error, "connecting");
  }
  return UniqueFd();
}

std::unique_ptr<Connection> open_tls(const HttpServer& server, const Deadline& deadline, SourceState& state) {
  std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_load_verify_file(context.get(), server.authority_file.c_str()) != 1) {
    state = {Kind::kFailed, "the certificate authority's file: " + tls_error()};
    return nullptr;
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  std::unique_ptr<SSL, Free> tls(SSL_new(context.get()));
  if (!tls) {
    state = {Kind::kFailed, tls_error()};
    return nullptr;
  }
  // Whose certificate it must be: an address's, or a name's.
  X509_VERIFY_PARAM* expected = SSL_get0_param(tls.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, server.host.c_str()) != 1 &&
      (X509_VERIFY_PARAM_set1_host(expected, server.host.c_str(), 0) != 1 ||
       SSL_set_tlsext_host_name(tls.get(), server.host.c_str()) != 1)) {
    state = {Kind::kFailed, "the server's name: " + tls_error()};
    return nullptr;
  }
  UniqueFd fd = connect_host(server, deadline, state);
  if (!fd) {
    return nullptr;
  }
  SSL_set_fd(tls.get(), fd.get());
  auto connection = std::make_unique<TlsConnection>(std::move(fd), std::move(context), std::move(tls));
  state = connection->shake_hands(deadline);
  if (state.kind != Kind::kAnswered) {
    return nullptr;
  }
  return connection;
}

}  // namespace

SourceState connect_socket(const std::string& path, int& fd) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return {Kind::kFailed, "the socket's path is longer than the 107 bytes that there may be"};
  }
  std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
  UniqueFd connected(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!connected || connect(connected.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    // Instead of waiting for its turn.
    return errno == EAGAIN ? SourceState{Kind::kTimedOut, "connecting: too many wait already"}
                           : failed(errno, "connecting");
  }
  fd = connected.release();
  return {Kind::kAnswered};
}

std::unique_ptr<Connection> Connection::open(const HttpServer& server, const Deadline& deadline, SourceState& state) {
  if (server.socket.empty()) {
    return open_tls(server, deadline, state);
  }
  int fd = -1;
  state = connect_socket(server.socket, fd);
  return state.kind == Kind::kAnswered ? std::make_unique<SocketConnection>(UniqueFd(fd)) : nullptr;
}

}  // namespace snoop::metadata
