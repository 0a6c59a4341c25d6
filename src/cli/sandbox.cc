// SPDX-License-Identifier: Apache-2.0
#include "cli/sandbox.h"

#include <linux/bpf.h>
#include <seccomp.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "cli/privileges.h"
#include "output/atomic_file.h"

namespace snoop {

namespace {

/// Calls that may have any arguments.
constexpr int kCalls[] = {
    // Memory.
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
    // Files: the report, /proc, cgroups, what containers have.
    SCMP_SYS(access), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup3), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(fcntl), SCMP_SYS(fdatasync), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fsync),
    SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(linkat), SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(pread64), SCMP_SYS(read), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(readv), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(sendfile), SCMP_SYS(stat), SCMP_SYS(statfs), SCMP_SYS(statx), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
    SCMP_SYS(write), SCMP_SYS(writev),
    // The loop.
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    // HTTP, and word to systemd. No connect: nothing is asked of others.
    SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
    SCMP_SYS(listen), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    // Time, signals, and what the C library does by itself.
    SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(futex), SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getppid),
    SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid),
    SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack),
    SCMP_SYS(sysinfo), SCMP_SYS(time), SCMP_SYS(uname)};

#ifdef __SANITIZE_ADDRESS__
/// Of the sanitizers: whether memory can be read, and what leaked.
constexpr int kSanitizerCalls[] = {SCMP_SYS(clone), SCMP_SYS(getdents), SCMP_SYS(pipe),
                                   SCMP_SYS(pipe2), SCMP_SYS(prctl),    SCMP_SYS(ptrace)};
#else
constexpr std::array<int, 0> kSanitizerCalls = {};
#endif

/// Maps that are there, programs that are loaded.
constexpr unsigned kBpfCommands[] = {BPF_MAP_LOOKUP_ELEM,    BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
                                     BPF_MAP_GET_NEXT_KEY,   BPF_PROG_TEST_RUN,   BPF_LINK_CREATE,
                                     BPF_OBJ_GET_INFO_BY_FD, BPF_ITER_CREATE};

constexpr unsigned kSocketFamilies[] = {AF_UNIX, AF_INET, AF_INET6};

/// A filter of system calls. What is not allowed looks as if this kernel did not have it: so
/// libraries fall back to what is.
class Filter {
 public:
  Filter() : filter_(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), &::seccomp_release) {}

  void allow(int call, std::initializer_list<scmp_arg_cmp> arguments = {}) {
    if (filter_ && error_ == 0) {
      error_ = ::seccomp_rule_add_array(filter_.get(), SCMP_ACT_ALLOW, call, static_cast<unsigned>(arguments.size()),
                                        arguments.begin());
    }
  }
  /// Of this thread and all others; sets no_new_privs.
  [[nodiscard]] Result<void> load() {
    if (!filter_ || error_ != 0) {
      return fail(filter_ ? -error_ : ENOMEM, "cannot make a filter of system calls");
    }
    ::seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    // In the kernel's log, for who has to find out.
    ::seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_LOG, 1);
    ::seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (const int error = ::seccomp_load(filter_.get()); error != 0) {
      return fail(-error, "cannot load a filter of system calls");
    }
    return {};
  }

 private:
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter_;
  int error_ = 0;
};

scmp_arg_cmp equals(unsigned argument, uint64_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp has_not(unsigned argument, uint64_t bits) { return {argument, SCMP_CMP_MASKED_EQ, bits, 0}; }

/// What the rest of a capture needs, as far as this kernel and the report's place do.
std::vector<cap_value_t> still_needed(const Options& options, const Probe& probe) {
  std::vector<cap_value_t> needed;
  for (const Capability& capability : useful_capabilities()) {
    needed.push_back(capability.value);
  }
  // From 5.19 on what is loaded can be used without.
  const std::vector<cap_value_t> of_bpf = {CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN};
  if (!works_without(of_bpf, [&] { return probe.can_be_used(); })) {
    const bool has_both = has_capability(CAP_BPF) && has_capability(CAP_PERFMON);
    needed.insert(needed.end(), of_bpf.begin(), has_both ? of_bpf.begin() + 2 : of_bpf.end());
  }
  // /proc/PID/map_files
  if (options.needs_baseline() && !probe.has_iterators()) {
    needed.push_back(has_capability(CAP_CHECKPOINT_RESTORE) ? CAP_CHECKPOINT_RESTORE : CAP_SYS_ADMIN);
  }
  // A directory of another user.
  const auto can_report = [&] {
    return options.command != Command::kRecord || options.report == "-" || can_write(options.report).has_value();
  };
  if (can_report() && !works_without(std::vector<cap_value_t>{CAP_DAC_OVERRIDE}, can_report)) {
    needed.push_back(CAP_DAC_OVERRIDE);
  }
  return needed;
}

}  // namespace

Result<void> filter_calls() {
  Filter filter;
  for (const int call : kCalls) {
    filter.allow(call);
  }
  for (const int call : kSanitizerCalls) {
    filter.allow(call);
  }
  // No new code.
  filter.allow(SCMP_SYS(mmap), {has_not(2, PROT_EXEC)});
  filter.allow(SCMP_SYS(mprotect), {has_not(2, PROT_EXEC)});
  for (const unsigned command : kBpfCommands) {
    filter.allow(SCMP_SYS(bpf), {equals(0, command)});
  }
  for (const unsigned family : kSocketFamilies) {
    filter.allow(SCMP_SYS(socket), {equals(0, family)});
  }
  // snoop-metadata, which the launcher starts.
  filter.allow(SCMP_SYS(socketpair), {equals(0, AF_UNIX)});
  filter.allow(SCMP_SYS(wait4));
  // Is it a terminal?
  filter.allow(SCMP_SYS(ioctl), {equals(1, TCGETS)});
  // abort()
  filter.allow(SCMP_SYS(tgkill), {equals(0, static_cast<uint64_t>(::getpid()))});
  return filter.load();
}

void enter_sandbox(const Options& options, const Probe& probe) {
  if (!options.sandbox) {
    return;
  }
  if (const Result<void> kept = keep_capabilities(still_needed(options, probe)); !kept) {
    spdlog::warn("{}: they stay", kept.error().message());
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    spdlog::warn("no_new_privs: {}", std::string_view(::strerrordesc_np(errno)));
  }
  if (const Result<void> filtered = filter_calls(); !filtered) {
    spdlog::warn("{}: all of them stay allowed", filtered.error().message());
  }
}

}  // namespace snoop
