// SPDX-License-Identifier: Apache-2.0
#include "service/listener.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace snoop {

namespace {

constexpr int kBacklog = 64;

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un local;
};

tl::unexpected<Error> failed(int code, const std::string& name, std::string hint = {}) {
  return fail(code, fmt::format("cannot listen at {}", name), std::move(hint));
}

/// The address in bytes, and how long it is; 0: it is none.
socklen_t to_socket_address(const std::string& host, uint16_t port, SocketAddress& address) {
  address = {};
  if (::inet_pton(AF_INET, host.c_str(), &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(port);
    return sizeof(address.v4);
  }
  if (::inet_pton(AF_INET6, host.c_str(), &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    return sizeof(address.v6);
  }
  return 0;
}

/// 0, or the error.
int bind_and_listen(int fd, const SocketAddress& address, socklen_t size) {
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (::bind(fd, &address.any, size) != 0 || ::listen(fd, kBacklog) != 0) {
    return errno;
  }
  return 0;
}

bool is_loopback(const SocketAddress& address) {
  if (address.any.sa_family == AF_INET) {
    return (ntohl(address.v4.sin_addr.s_addr) >> 24) == 127;
  }
  if (address.any.sa_family == AF_INET6) {
    const in6_addr& v6 = address.v6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  }
  return address.any.sa_family == AF_UNIX;
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [&] {
    return fail(0, fmt::format("'{}' is no address to listen at: give ADDRESS:PORT, :PORT, unix:/PATH or off", text));
  };
  if (text == "off") {
    return ListenAddress{};
  }
  if (text.starts_with("unix:")) {
    ListenAddress address{.kind = ListenAddress::Kind::kUnix, .path = std::string(text.substr(5))};
    if (!address.path.starts_with('/') || address.path.ends_with('/')) {
      return refuse();
    }
    if (address.path.size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(0, fmt::format("'{}' is too long for the name of a unix socket: {} bytes at most", text,
                                 sizeof(sockaddr_un::sun_path) - 1));
    }
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return refuse();
  }
  ListenAddress address{.kind = ListenAddress::Kind::kInternet, .host = std::string(text.substr(0, colon))};
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size()) {
    return refuse();
  }
  if (address.host == "localhost") {
    address.host = "127.0.0.1";
  } else if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return refuse();
  }
  SocketAddress bytes;
  if (!(address.host.empty() && colon == 0) && to_socket_address(address.host, address.port, bytes) == 0) {
    return refuse();
  }
  return address;
}

Result<Listener> Listener::open(const ListenAddress& address) {
  return address.kind == ListenAddress::Kind::kUnix ? open_unix(address.path) : open_internet(address);
}

Result<Listener> Listener::open_internet(const ListenAddress& address) {
  const bool everywhere = address.host.empty();
  SocketAddress wanted;
  socklen_t size = to_socket_address(everywhere ? "::" : address.host, address.port, wanted);
  UniqueFd fd(::socket(wanted.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int code = fd ? 0 : errno;
  if (fd) {
    // "::" stands for IPv4 as well, whatever the machine's setting is.
    const int only_v6 = everywhere ? 0 : 1;
    if (wanted.any.sa_family == AF_INET6) {
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
    }
    code = bind_and_listen(fd.get(), wanted, size);
  }
  if (everywhere && (code == EAFNOSUPPORT || code == EADDRNOTAVAIL)) {  // no IPv6 here
    size = to_socket_address("0.0.0.0", address.port, wanted);
    fd = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    code = fd ? bind_and_listen(fd.get(), wanted, size) : errno;
  }
  const auto name_of = [&](uint16_t port) {
    const bool brackets = address.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", brackets ? "[" : "", address.host, brackets ? "]" : "", port);
  };
  if (code != 0) {
    return failed(code, name_of(address.port),
                  code == EADDRINUSE ? "another process has it: name another address with --metrics-addr, or off"
                  : code == EACCES   ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                     : "--metrics-addr names an address of this machine, or off");
  }
  SocketAddress bound = {};
  size = sizeof(bound);
  ::getsockname(fd.get(), &bound.any, &size);
  const uint16_t port = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
  return Listener(std::move(fd), name_of(port));
}

Result<Listener> Listener::open_unix(const std::string& path) {
  const std::string name = "unix:" + path;
  SocketAddress address = {};
  address.local.sun_family = AF_UNIX;
  std::memcpy(address.local.sun_path, path.c_str(), path.size() + 1);
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return failed(EEXIST, name, "what is there is no socket: remove it, or name another path");
    }
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.get(), &address.any, sizeof(address.local)) == 0 || errno != ECONNREFUSED) {
      return failed(EADDRINUSE, name, "another process listens there: name another path with --metrics-addr");
    }
    ::unlink(path.c_str());
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return failed(errno, name);
  }
  // From its first moment on nobody else's.
  const mode_t former = ::umask(0177);
  const int code = bind_and_listen(fd.get(), address, sizeof(address.local));
  ::umask(former);
  if (code != 0) {
    return failed(code, name, code == ENOENT ? "make its directory first" : "");
  }
  Listener listener(std::move(fd), name);
  listener.path_ = path;
  listener.inode_ = ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
  return listener;
}

Listener::~Listener() {
  struct stat info = {};
  if (fd_ && !path_.empty() && ::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

bool is_local(int connection) {
  SocketAddress peer = {};
  SocketAddress own = {};
  socklen_t peer_size = sizeof(peer);
  socklen_t own_size = sizeof(own);
  // Both: the proxy of a service mesh comes from 127.0.0.6 to the pod's address.
  return ::getpeername(connection, &peer.any, &peer_size) == 0 && ::getsockname(connection, &own.any, &own_size) == 0 &&
         is_loopback(peer) && is_loopback(own);
}

}  // namespace snoop
