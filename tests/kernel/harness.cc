// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "pipeline/path.h"

namespace snoop::testing {

namespace {

template <typename T>
T value_of(Result<T> result) {
  if (!result) {
    throw std::runtime_error(result.error().message());
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

}  // namespace

Capture::Capture(ProbeOptions options, std::optional<CgroupTree> tree) {
  tree_ = tree ? std::move(*tree) : value_of(CgroupTree::find());
  options.cgroup_controller = tree_->controller();
  options.hierarchy_id = value_of(tree_->hierarchy_id());
  if (const char* tier = std::getenv("SNOOP_TIER")) {
    options.tier = tier_named(tier).value();
  }
  cgroup_.emplace(
      value_of(OwnedCgroup::create(*tree_, value_of(tree_->own()), fmt::format("snoop-kernel-{}", ::getpid()))));
  probe_ = value_of(Probe::load(options));
  value_of(probe_->attach());
  value_of(probe_->add_cgroup(cgroup_->cgroup().id, kTarget, true));
  const auto describe = [this](int fd) {
    const Probe::Described described = probe_->describe(fd);
    return Roots::Described{described.identity, described.magic};
  };
  resolver_.emplace(describe, true, false);
  resolver_->hold_own_root();
}

std::vector<Access> Capture::run(const std::function<int()>& body) { return run_in(*cgroup_, body); }

std::vector<Access> Capture::run_in(const OwnedCgroup& cgroup, const std::function<int()>& body) {
  const int procs = value_of(cgroup.open_procs());
  const pid_t child = ::fork();
  if (child == 0) {
    if (::write(procs, "0", 1) != 1) {
      ::_exit(99);
    }
    ::_exit(body());
  }
  ::close(procs);
  ::waitpid(child, &last_status_, 0);
  return drain();
}

std::vector<Access> Capture::drain() {
  std::vector<Access> accesses;
  const Probe::RawHandler handler = [&](std::span<const std::byte> bytes) {
    const std::optional<Record> record = decode(bytes);
    ASSERT_TRUE(record.has_value());
    if (record->event.type == SNOOP_EVENT_CGROUP) {
      adopted_.emplace_back(record->path, record->event.target);
      return;
    }
    if (record->event.type == SNOOP_EVENT_CGROUP_GONE || record->event.type == SNOOP_EVENT_MOVED) {
      notices_.push_back(record->event);
      return;
    }
    if (record->event.type != SNOOP_EVENT_ACCESS && record->event.type != SNOOP_EVENT_ELF_INTERPRETER) {
      return;
    }
    if (auto resolved = resolver_->resolve(*record, [](std::string_view) { return true; })) {
      accesses.push_back(std::move(resolved->access));
    }
  };
  static_cast<void>(probe_->drain(handler));
  return accesses;
}

void KernelTest::SetUp() {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root, to load BPF programs";
  }
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    GTEST_SKIP() << "this kernel has no BTF";
  }
  const Result<CgroupTree> tree = CgroupTree::find();
  if (!tree) {
    GTEST_SKIP() << tree.error().message();
  }
  std::string pattern = "/tmp/snoop-kernel-XXXXXX";
  directory_ = ::mkdtemp(pattern.data());
  ASSERT_EQ(::chdir(directory_.c_str()), 0);
  ::umask(0);
}

void KernelTest::TearDown() {
  capture_.reset();
  if (!directory_.empty()) {
    ASSERT_EQ(::chdir("/"), 0);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
}

Capture& KernelTest::start(ProbeOptions options, std::optional<CgroupTree> tree) {
  capture_.reset();
  capture_ = std::make_unique<Capture>(std::move(options), std::move(tree));
  return *capture_;
}

std::shared_ptr<Capture> KernelTest::shared_;

Capture& KernelTest::share() {
  if (!shared_) {
    ProbeOptions options;
    options.first_sight_only = false;
    shared_ = std::make_shared<Capture>(options);
  }
  capture_ = shared_;
  return *capture_;
}

std::vector<Access> at(const std::vector<Access>& accesses, const std::string& path) {
  std::vector<Access> found;
  for (const Access& access : accesses) {
    if (access.path == path) {
      found.push_back(access);
    }
  }
  return found;
}

std::vector<std::string> paths_of(const std::vector<Access>& accesses) {
  std::vector<std::string> paths;
  for (const Access& access : accesses) {
    paths.push_back(access.path);
  }
  return paths;
}

std::vector<std::string> kinds_of(const Access& access) {
  uint16_t kinds = 0;
  for (int outcome = 0; outcome < SNOOP_OUTCOME_COUNT; outcome++) {
    kinds |= kinds_with(access.seen, static_cast<snoop_outcome>(outcome));
  }
  std::vector<std::string> names;
  for (const std::string_view name : kind_names(kinds)) {
    names.emplace_back(name);
  }
  for (const std::string_view mode : open_mode_names(kinds)) {
    names.push_back("open:" + std::string(mode));
  }
  return names;
}

bool has_32bit_calls() {
#if defined(__x86_64__)
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    long result = 20;  // getpid
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    ::_exit(result == ::getpid() ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  return status == 0;
#else
  return false;
#endif
}

void write_file(const std::string& path, const std::string& content, int mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0 || ::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    throw std::runtime_error("cannot write " + path);
  }
  ::close(fd);
  ::chmod(path.c_str(), static_cast<mode_t>(mode));
}

}  // namespace snoop::testing
