// SPDX-License-Identifier: Apache-2.0
#include "service/notify.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "temp_dir.h"

namespace snoop {
namespace {

class NotifyTest : public testing::Test {
 protected:
  ~NotifyTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      ::unsetenv(name);
    }
  }
  void bind(const std::string& name) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') {
      address.sun_path[0] = '\0';
    }
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
  }
  std::string received() {
    std::array<char, 256> buffer = {};
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return {buffer.data(), static_cast<size_t>(std::max<ssize_t>(got, 0))};
  }

  TempDir dir_;
  UniqueFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

TEST_F(NotifyTest, TellsByDatagrams) {
  for (const std::string& name : {dir_ / "notify", fmt::format("@snoop-unit-{}", ::getpid())}) {
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    bind(name);
    Notifier notifier = Notifier::from_environment();
    notifier.ready();
    EXPECT_EQ(received(), "READY=1");
    notifier.status("all is well");
    EXPECT_EQ(received(), "STATUS=all is well");
    notifier.alive();
    EXPECT_EQ(received(), "WATCHDOG=1");
    notifier.stopping();
    EXPECT_EQ(received(), "STOPPING=1");
  }
}

TEST_F(NotifyTest, SaysNothingWhereNobodyListens) {
  Notifier nobody = Notifier::from_environment();
  nobody.ready();
  EXPECT_EQ(nobody.alive_interval().count(), 0);
  ::setenv("NOTIFY_SOCKET", (dir_ / "gone").c_str(), 1);
  Notifier::from_environment().ready();
  ::setenv("NOTIFY_SOCKET", ("/" + std::string(200, 'a')).c_str(), 1);
  Notifier::from_environment().ready();
}

TEST_F(NotifyTest, IsAliveTwiceInTheTimeThatIsAskedFor) {
  bind(dir_ / "notify");
  EXPECT_EQ(Notifier::from_environment().alive_interval().count(), 0);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(Notifier::from_environment().alive_interval(), std::chrono::milliseconds(1500));
  ::setenv("WATCHDOG_PID", fmt::format("{}", ::getpid()).c_str(), 1);
  EXPECT_EQ(Notifier::from_environment().alive_interval(), std::chrono::milliseconds(1500));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(Notifier::from_environment().alive_interval().count(), 0);
  ::setenv("WATCHDOG_PID", "", 1);
  ::setenv("WATCHDOG_USEC", "often", 1);
  EXPECT_EQ(Notifier::from_environment().alive_interval().count(), 0);
}

}  // namespace
}  // namespace snoop
