// SPDX-License-Identifier: Apache-2.0
// The workload that is measured: does one thing, for a time or a number of times, and prints as JSON how long it took.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr int kHotFiles = 64;
constexpr uint64_t kFilesInDirectory = 1000;

struct Options {
  std::string mode;
  std::string directory;
  double seconds = 0.2;
  uint64_t count = 0;
  uint64_t rate = 2000;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

uint64_t now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_nsec);
}

/// CPU time of this process and of the children that it has waited for.
double cpu_seconds() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage;
    ::getrusage(who, &usage);
    for (const timeval& part : {usage.ru_utime, usage.ru_stime}) {
      seconds += static_cast<double>(part.tv_sec) + static_cast<double>(part.tv_usec) * 1e-6;
    }
  }
  return seconds;
}

// system.py makes the same names.
std::string directory_name(const std::string& top, uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "/d%04u", static_cast<unsigned>(number / kFilesInDirectory));
  return top + name;
}

std::string file_name(const std::string& top, uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "/f%07u", static_cast<unsigned>(number));
  return directory_name(top, number) + name;
}

void make_files(const std::string& top, uint64_t count) {
  for (uint64_t number = 0; number < count; ++number) {
    if (number % kFilesInDirectory == 0 && ::mkdir(directory_name(top, number).c_str(), 0755) != 0 && errno != EEXIST) {
      fail(directory_name(top, number));
    }
    const int fd = ::open(file_name(top, number).c_str(), O_WRONLY | O_CREAT, 0644);
    if (fd < 0) {
      fail(file_name(top, number));
    }
    ::close(fd);
  }
}

void open_close(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    fail(path);
  }
  ::close(fd);
}

/// What was done, and how long each batch of it took.
struct Result {
  uint64_t operations = 0;
  uint64_t batch = 1;
  std::vector<uint64_t> batches_ns;
};

/// Batches, one after the other, until the time is over or the number is reached.
Result repeat(const Options& options, uint64_t batch, const std::function<void()>& run_batch) {
  Result result;
  result.batch = batch;
  result.batches_ns.reserve(1 << 16);
  uint64_t begin = now_ns();
  const uint64_t end = begin + static_cast<uint64_t>(options.seconds * 1e9);
  while (options.count > 0 ? result.operations < options.count : begin < end) {
    run_batch();
    const uint64_t after = now_ns();
    result.batches_ns.push_back(after - begin);
    result.operations += batch;
    begin = after;
  }
  return result;
}

/// So many a second: only the calls themselves count as time. Up to 10,000 a second each has its own moment, above that
/// those of a millisecond go together.
Result at_rate(const Options& options, const std::vector<std::string>& paths) {
  ::prctl(PR_SET_TIMERSLACK, 1);
  Result result;
  result.batch = options.rate > 10'000 ? options.rate / 1000 : 1;
  const uint64_t period_ns = kSecond * result.batch / options.rate;
  uint64_t next = now_ns();
  const uint64_t end = next + static_cast<uint64_t>(options.seconds * 1e9);
  size_t at = 0;
  while (next < end) {
    const timespec until = {static_cast<time_t>(next / kSecond), static_cast<long>(next % kSecond)};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    const uint64_t before = now_ns();
    for (uint64_t i = 0; i < result.batch; ++i) {
      open_close(paths[at++ % paths.size()].c_str());
    }
    result.batches_ns.push_back(now_ns() - before);
    result.operations += result.batch;
    next += period_ns;
  }
  return result;
}

/// A process that does its part and ends.
pid_t start_part(const std::function<void()>& part) {
  const pid_t pid = ::fork();
  if (pid < 0) {
    fail("fork");
  }
  if (pid == 0) {
    part();
    ::_exit(0);
  }
  return pid;
}

void wait_for_part(pid_t pid) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) {
    fail("a child");
  }
}

/// Four processes at once, each with a way of its own to files that nobody has used before.
Result mix(const Options& options) {
  const std::string& top = options.directory;
  const uint64_t children = options.count / 20;
  const std::vector<std::function<void()>> parts = {
      [&] {
        for (uint64_t i = 0; i < options.count; ++i) {
          const int fd = ::open(file_name(top + "/fstat", i).c_str(), O_RDONLY | O_CLOEXEC);
          struct stat info;
          if (fd < 0 || ::fstat(fd, &info) != 0) {
            fail("fstat");
          }
          ::close(fd);
        }
      },
      [&] {
        if (::chdir((top + "/relative").c_str()) != 0) {
          fail("chdir");
        }
        for (uint64_t i = 0; i < options.count; ++i) {
          open_close(file_name(".", i).c_str());
        }
      },
      [&] {
        for (uint64_t i = 0; i < options.count; ++i) {
          struct stat info;
          if (::stat(file_name(top + "/missing", i).c_str(), &info) == 0) {
            fail("a missing file is there");
          }
        }
      },
      [&] {
        for (uint64_t i = 0; i < children; ++i) {
          wait_for_part(start_part([&] { open_close(file_name(top + "/child", i).c_str()); }));
        }
      },
  };
  const uint64_t begin = now_ns();
  std::vector<pid_t> pids;
  pids.reserve(parts.size());
  for (const auto& part : parts) {
    pids.push_back(start_part(part));
  }
  for (const pid_t pid : pids) {
    wait_for_part(pid);
  }
  return {.operations = 3 * options.count + children,
          .batch = 3 * options.count + children,
          .batches_ns = {now_ns() - begin}};
}

/// Not posix_spawn: that of glibc 2.36 makes 122 further calls, to set all signals back.
void execute_and_wait() {
  wait_for_part(start_part([] {
    char program[] = "/bin/true";
    char* arguments[] = {program, nullptr};
    char* environment[] = {nullptr};
    ::execve(program, arguments, environment);
    fail(program);
  }));
}

std::vector<std::string> hot_paths(const Options& options, const char* prefix) {
  std::vector<std::string> paths;
  for (int i = 0; i < kHotFiles; ++i) {
    paths.push_back(options.directory + prefix + std::to_string(i));
  }
  return paths;
}

Result run(const Options& options) {
  const std::vector<std::string> hot = hot_paths(options, "/hot");
  const std::vector<std::string> missing = hot_paths(options, "/missing");
  const std::map<std::string, std::function<Result()>> modes = {
      {"open",
       [&] {
         return repeat(options, kHotFiles, [&] {
           for (const std::string& path : hot) {
             open_close(path.c_str());
           }
         });
       }},
      {"stat",
       [&] {
         return repeat(options, kHotFiles, [&] {
           struct stat info;
           for (const std::string& path : hot) {
             if (::stat(path.c_str(), &info) != 0) {
               fail(path);
             }
           }
         });
       }},
      // As glibc 2.33 to 2.38 ask for an open file.
      {"fstat",
       [&] {
         const int fd = ::open(options.directory.c_str(), O_RDONLY | O_CLOEXEC);
         return repeat(options, kHotFiles, [&] {
           struct stat info;
           for (int i = 0; i < kHotFiles; ++i) {
             if (::syscall(SYS_newfstatat, fd, "", &info, AT_EMPTY_PATH) != 0) {
               fail(options.directory);
             }
           }
         });
       }},
      {"missing",
       [&] {
         return repeat(options, kHotFiles, [&] {
           for (const std::string& path : missing) {
             if (::open(path.c_str(), O_RDONLY) >= 0) {
               fail(path);
             }
           }
         });
       }},
      {"getppid",
       [&] {
         return repeat(options, 256, [] {
           for (int i = 0; i < 256; ++i) {
             ::syscall(SYS_getppid);
           }
         });
       }},
      {"exec", [&] { return repeat(options, 1, execute_and_wait); }},
      {"rate", [&] { return at_rate(options, hot); }},
      {"burst",
       [&] {
         uint64_t next = 0;
         return repeat(options, 1, [&] { open_close(file_name(options.directory, next++).c_str()); });
       }},
      {"mix", [&] { return mix(options); }},
      {"make",
       [&] {
         make_files(options.directory, options.count);
         return Result{.operations = options.count, .batch = 1, .batches_ns = {0}};
       }},
  };
  const auto mode = modes.find(options.mode);
  if (mode == modes.end()) {
    errno = EINVAL;
    fail(options.mode);
  }
  return mode->second();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: load MODE DIRECTORY [--seconds S] [--count N] [--rate N]\n"
                 "MODE: open stat fstat missing getppid exec rate burst mix make\n");
    return 2;
  }
  options.mode = argv[1];
  options.directory = argv[2];
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--seconds") {
      options.seconds = std::strtod(argv[i + 1], nullptr);
    } else if (name == "--count") {
      options.count = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--rate") {
      options.rate = std::max<uint64_t>(1, std::strtoull(argv[i + 1], nullptr, 10));
    } else {
      std::fprintf(stderr, "load: no such option: %s\n", name.c_str());
      return 2;
    }
  }

  const double cpu_before = cpu_seconds();
  const uint64_t begin = now_ns();
  Result result = run(options);
  const double seconds = static_cast<double>(now_ns() - begin) / 1e9;
  const double cpu = cpu_seconds() - cpu_before;
  std::sort(result.batches_ns.begin(), result.batches_ns.end());
  const auto per_operation = [&](size_t index) {
    return static_cast<double>(result.batches_ns[index]) / static_cast<double>(result.batch);
  };
  std::printf(
      "{\"mode\": \"%s\", \"operations\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"median_ns\": %.1f, "
      "\"tenth_ns\": %.1f, "
      "\"best_ns\": %.1f}\n",
      options.mode.c_str(), static_cast<unsigned long long>(result.operations), seconds, cpu,
      per_operation(result.batches_ns.size() / 2), per_operation(result.batches_ns.size() / 10), per_operation(0));
  return 0;
}
