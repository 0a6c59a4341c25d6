// SPDX-License-Identifier: Apache-2.0
#include "service/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <optional>

#include "temp_dir.h"

namespace snoop {
namespace {

using Kind = ListenAddress::Kind;

TEST(ListenAddressTest, ReadsWhatItCan) {
  const struct {
    const char* text;
    Kind kind;
    const char* host;
    uint16_t port;
    const char* path;
  } cases[] = {
      {"off", Kind::kOff, "", 0, ""},
      {":9090", Kind::kInternet, "", 9090, ""},
      {"127.0.0.1:0", Kind::kInternet, "127.0.0.1", 0, ""},
      {"localhost:80", Kind::kInternet, "127.0.0.1", 80, ""},
      {"[::1]:65535", Kind::kInternet, "::1", 65535, ""},
      {"unix:/run/snoop.sock", Kind::kUnix, "", 0, "/run/snoop.sock"},
  };
  for (const auto& expected : cases) {
    const Result<ListenAddress> address = parse_listen_address(expected.text);
    ASSERT_TRUE(address) << expected.text;
    EXPECT_EQ(address->kind, expected.kind) << expected.text;
    EXPECT_EQ(address->host, expected.host) << expected.text;
    EXPECT_EQ(address->port, expected.port) << expected.text;
    EXPECT_EQ(address->path, expected.path) << expected.text;
  }
}

TEST(ListenAddressTest, RefusesTheRest) {
  for (const char* text :
       {"", "on", "9090", ":", ":-1", ":65536", ":90a", ": 90", "1.2.3:1", "::1:9090", "[::1]", "[]:1", "[1.2.3.4:1",
        "example.com:80", "unix:", "unix:a", "unix:/a/", "http://127.0.0.1:1"}) {
    const Result<ListenAddress> address = parse_listen_address(text);
    EXPECT_FALSE(address) << text;
  }
  EXPECT_FALSE(parse_listen_address("unix:/" + std::string(107, 'a')));
  EXPECT_TRUE(parse_listen_address("unix:/" + std::string(106, 'a')));
}

TEST(ListenerTest, APortInUseIsAnError) {
  const Result<Listener> first = Listener::open({.kind = Kind::kInternet, .host = "127.0.0.1", .port = 0});
  ASSERT_TRUE(first) << first.error().message();
  Result<ListenAddress> same = parse_listen_address(first->name());
  ASSERT_TRUE(same);
  EXPECT_NE(same->port, 0);
  const Result<Listener> second = Listener::open(*same);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  // Of all addresses it is one.
  const Result<Listener> everywhere = Listener::open({.kind = Kind::kInternet, .port = same->port});
  ASSERT_FALSE(everywhere);
  EXPECT_EQ(everywhere.error().code, EADDRINUSE);
}

class UnixListenerTest : public testing::Test {
 protected:
  [[nodiscard]] Result<Listener> open() const { return Listener::open({.kind = Kind::kUnix, .path = path_}); }
  [[nodiscard]] bool exists() const {
    struct stat info = {};
    return ::lstat(path_.c_str(), &info) == 0;
  }

  TempDir dir_;
  std::string path_ = dir_ / "s";
};

TEST_F(UnixListenerTest, IsOfItsOwnerOnlyAndGoesWithIt) {
  {
    const Result<Listener> listener = open();
    ASSERT_TRUE(listener) << listener.error().message();
    struct stat info = {};
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    EXPECT_TRUE(S_ISSOCK(info.st_mode));
  }
  EXPECT_FALSE(exists());
}

TEST_F(UnixListenerTest, ALiveOneIsNotReplaced) {
  const Result<Listener> first = open();
  ASSERT_TRUE(first);
  const Result<Listener> second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_TRUE(exists());
}

TEST_F(UnixListenerTest, AStaleOneIsReplaced) {
  std::optional<Listener> first(std::move(*open()));
  // As after a crash: nobody listens, and the name is there.
  ::rename(path_.c_str(), (dir_ / "kept").c_str());
  first.reset();
  ::rename((dir_ / "kept").c_str(), path_.c_str());
  ASSERT_TRUE(exists());
  const Result<Listener> second = open();
  EXPECT_TRUE(second) << second.error().message();
}

TEST_F(UnixListenerTest, WhatIsNoSocketStays) {
  write_file(path_, "precious");
  const Result<Listener> listener = open();
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, EEXIST);
  EXPECT_EQ(read_file(path_), "precious");
}

TEST_F(UnixListenerTest, AnothersSocketIsLeftAlone) {
  std::optional<Listener> first(std::move(*open()));
  ::unlink(path_.c_str());
  const Result<Listener> second = open();
  ASSERT_TRUE(second);
  first.reset();
  EXPECT_TRUE(exists());
}

}  // namespace
}  // namespace snoop
