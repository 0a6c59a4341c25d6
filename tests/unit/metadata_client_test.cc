// SPDX-License-Identifier: Apache-2.0
#include "container/metadata_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "temp_dir.h"

namespace snoop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A client of a script that speaks as snoop-metadata does, or does not.
class MetadataClientTest : public testing::Test {
 protected:
  MetadataClientTest() : loop_(std::move(*EventLoop::create())), deadline_(std::move(*Timer::create())) {
    static_cast<void>(loop_.watch(deadline_.fd(), [this] {
      deadline_.acknowledge();
      timed_out_ = true;
      loop_.stop();
    }));
  }

  void start(const std::string& script, bool once = false) {
    const std::string path = dir_ / "snoop-metadata";
    write_file(path, "#!/bin/sh\n" + script);
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    std::vector<std::string> arguments = {"--option", "value"};
    if (once) {
      arguments.emplace_back("--list");
    }
    Result<Launcher> launcher = Launcher::start({path, arguments});
    ASSERT_TRUE(launcher) << launcher.error().message();
    Result<std::unique_ptr<MetadataClient>> client =
        MetadataClient::start(loop_, std::move(*launcher),
                              {.on_started = [this] { starts_++; },
                               .on_container =
                                   [this](const KnownContainer& known) {
                                     told_.push_back(known.identity.id);
                                     loop_.stop();
                                   },
                               .on_listed =
                                   [this] {
                                     told_.emplace_back("listed");
                                     loop_.stop();
                                   },
                               .on_ended =
                                   [this] {
                                     told_.emplace_back("ended");
                                     loop_.stop();
                                   },
                               .while_forking = [this](bool forking) { forks_.push_back(forking); }},
                              once);
    ASSERT_TRUE(client) << client.error().message();
    client_ = std::move(*client);
  }

  /// Until this much was told.
  void run_until(size_t count) {
    deadline_.start(std::chrono::seconds(20));
    while (told_.size() < count && !timed_out_) {
      ASSERT_TRUE(loop_.run());
    }
    EXPECT_FALSE(timed_out_);
  }

  TempDir dir_;
  EventLoop loop_;
  Timer deadline_;
  bool timed_out_ = false;
  int starts_ = 0;
  std::vector<bool> forks_;
  std::vector<std::string> told_;
  std::unique_ptr<MetadataClient> client_;
};

TEST_F(MetadataClientTest, AsksAndIsTold) {
  start(R"(echo '{"container":{"id":"first"}}'
           echo '{"listed":true}'
           while read -r line; do case "$line" in
             *'"id":"0a"'*) echo '{"container":{"id":"0a"}}';;
             *) echo '{"unknown":{"id":"?"}}';;
           esac; done)");
  EXPECT_EQ(starts_, 1);
  EXPECT_THAT(forks_, ElementsAre(true, false));
  run_until(2);
  client_->ask("/x", "other");
  client_->ask("/y", "0a");
  run_until(3);
  EXPECT_THAT(told_, ElementsAre("first", "listed", "0a"));
}

TEST_F(MetadataClientTest, KnowsTheSources) {
  start(R"(echo '{"source":{"name":"docker","endpoint":"/s","state":"refused","error":"no"}}'
           echo '{"source":{"name":"cri","endpoint":"/t","state":"missing"}}'
           echo '{"source":{"name":"docker","endpoint":"/s","state":"answered"}}'
           echo '{"listed":true}'; read -r line)");
  run_until(1);
  const std::vector<MetadataSource> sources = client_->sources();
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_EQ(sources[0].name, "docker");
  EXPECT_EQ(sources[0].state, "answered");
  EXPECT_EQ(sources[0].error, "");
  EXPECT_EQ(sources[1].state, "missing");
}

TEST(TroubleWith, SocketsThatWereNamed) {
  const std::vector<std::string> arguments = {"--runtime-socket", "podman:/p.sock", "--runtime-socket", "/x.sock"};
  EXPECT_EQ(trouble_with({"podman", "/p.sock", "missing", ""}, arguments), "there is no socket /p.sock");
  EXPECT_EQ(trouble_with({"podman", "/p.sock", "answered", ""}, arguments), "");
  EXPECT_EQ(trouble_with({"docker", "/run/docker.sock", "missing", ""}, arguments), "") << "nobody named it";
  EXPECT_EQ(trouble_with({"oci", "/x.sock", "missing", ""}, arguments), "");
  EXPECT_THAT(trouble_with({"cri", "/x.sock", "failed", "no"}, arguments), testing::HasSubstr("podman:/x.sock"));
}

TEST_F(MetadataClientTest, IsStartedAgain) {
  start("if [ -e " + (dir_ / "again") + R"( ]; then echo '{"container":{"id":"again"}}'; read -r line; fi
        echo '{"container":{"id":"once"}}'; touch )" +
        (dir_ / "again") + "; exit 3");
  run_until(2);
  EXPECT_THAT(told_, ElementsAre("once", "again"));
  EXPECT_EQ(starts_, 2);
  EXPECT_THAT(client_->sources(), IsEmpty());
}

TEST_F(MetadataClientTest, SaysThatItIsDown) {
  start("exit 3");
  std::vector<MetadataSource> sources;
  deadline_.start(std::chrono::milliseconds(500));
  ASSERT_TRUE(loop_.run());
  sources = client_->sources();
  ASSERT_EQ(sources.size(), 1U);
  EXPECT_EQ(sources[0].name, "snoop-metadata");
  EXPECT_EQ(sources[0].state, "failed");
}

TEST_F(MetadataClientTest, OnceIsOnce) {
  start(R"([ "$*" = "--option value --list" ] && echo '{"container":{"id":"0a"}}')", true);
  run_until(2);
  EXPECT_THAT(told_, ElementsAre("0a", "ended"));
  EXPECT_EQ(client_->pid(), 0);
}

TEST_F(MetadataClientTest, PassesOverWhatIsTooLongOrNonsense) {
  start(R"(head -c 3000000 /dev/zero | tr '\0' x; echo
           echo nonsense
           printf '{"container":{"id"'; sleep 0.1; echo ':"0a"}}'; read -r line)");
  run_until(1);
  EXPECT_THAT(told_, ElementsAre("0a"));
  EXPECT_EQ(starts_, 1);
}

TEST_F(MetadataClientTest, NeverWaitsForWhoReadsNothing) {
  start(R"(echo '{"listed":true}'; while :; do sleep 1; done)");
  run_until(1);
  const std::string path(4000, 'x');
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 3'000; i++) {
    client_->ask(path, "0a");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
  EXPECT_EQ(client_->pid(), 0) << "who reads nothing for so long is ended";
  run_until(2);
  EXPECT_EQ(starts_, 2);
}

TEST_F(MetadataClientTest, GivesItNothingButWhatItNeeds) {
  ::setenv("SNOOP_METADATA_TEST", "passed on", 1);
  ::setenv("SECRET_OF_SNOOP", "secret", 1);
  const int open_here = ::dup(STDIN_FILENO);
  sigset_t blocked = {};
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigset_t former = {};
  ::sigprocmask(SIG_BLOCK, &blocked, &former);
  start("env > " + (dir_ / "env") + "; ls -l /proc/$$/fd > " + (dir_ / "fds") + "; grep Sig /proc/self/status > " +
        (dir_ / "signals") + R"(; echo '{"listed":true}'; read -r line)");
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
  run_until(1);
  ::close(open_here);
  ::unsetenv("SNOOP_METADATA_TEST");
  ::unsetenv("SECRET_OF_SNOOP");
  EXPECT_THAT(read_file(dir_ / "env"), HasSubstr("SNOOP_METADATA_TEST=passed on"));
  EXPECT_THAT(read_file(dir_ / "env"), Not(HasSubstr("SECRET_OF_SNOOP")));
  EXPECT_THAT(read_file(dir_ / "signals"), HasSubstr("SigBlk:\t0000000000000000"));
  // The shell has its script open as 10.
  const std::string fds = read_file(dir_ / "fds");
  EXPECT_THAT(fds, HasSubstr(" 0 -> "));
  EXPECT_THAT(fds, HasSubstr(" 1 -> "));
  EXPECT_THAT(fds, Not(HasSubstr(" " + std::to_string(open_here) + " -> "))) << fds;
  EXPECT_THAT(fds, HasSubstr(" 2 -> /dev/null"));
}

TEST_F(MetadataClientTest, EndsWithSnoop) {
  int pids[2] = {};
  ASSERT_EQ(::pipe(pids), 0);
  const pid_t snoop = ::fork();
  if (snoop == 0) {
    start("trap '' HUP TERM; while :; do sleep 0.1; done");
    const pid_t pid = client_->pid();
    static_cast<void>(!::write(pids[1], &pid, sizeof(pid)));
    ::pause();
  }
  pid_t pid = 0;
  ASSERT_EQ(::read(pids[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  ASSERT_EQ(::kill(pid, 0), 0);
  ::kill(snoop, SIGKILL);
  ::waitpid(snoop, nullptr, 0);
  const auto is_running = [&] {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(status, line);
    return !line.empty() && line.find(") Z ") == std::string::npos;
  };
  for (int i = 0; i < 500 && is_running(); i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(is_running());
  ::close(pids[0]);
  ::close(pids[1]);
}

TEST_F(MetadataClientTest, EndsWithTheClient) {
  start("while :; do sleep 0.1; done");
  const pid_t pid = client_->pid();
  client_.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH) << "ended, and waited for";
}

TEST_F(MetadataClientTest, MayBeMissing) {
  const Result<Launcher> launcher = Launcher::start({.path = dir_ / "none", .arguments = {}});
  ASSERT_FALSE(launcher);
  EXPECT_EQ(launcher.error().code, ENOENT);
}

}  // namespace
}  // namespace snoop
