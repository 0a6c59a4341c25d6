// SPDX-License-Identifier: Apache-2.0
// The pure parts of user space, one by one.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "output/report.h"
#include "pipeline/access.h"
#include "pipeline/access_store.h"
#include "pipeline/path.h"
#include "pipeline/recorder.h"
#include "probe/record.h"

namespace snoop {
namespace {

constexpr uint64_t kOpened = (1ULL << SNOOP_KIND_READ) << SNOOP_SEEN_SHIFT(SNOOP_OUTCOME_OK);
constexpr WallTime kNow = 1'700'000'000'000'000'000;

/// Anonymous memory of this process now.
double rss_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) {
      return std::strtod(line.c_str() + std::strlen("RssAnon:"), nullptr) / 1024;
    }
  }
  return 0;
}

/// Paths as an image has them: 50 bytes, a hundred in each directory.
std::vector<std::string> paths(int64_t count) {
  std::vector<std::string> out;
  out.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    out.push_back("/usr/lib/python3/dist-packages/d" + std::to_string(i / 100) + "/module" + std::to_string(i) + ".py");
  }
  return out;
}

std::vector<std::byte> record_bytes() {
  const std::string path = "lib/python3.11/encodings/utf_8.py";
  const std::string base("usr\0", 4);
  const std::string resolved("utf_8.py\0encodings\0python3.11\0lib\0usr\0", 38);
  snoop_event event = {};
  event.type = SNOOP_EVENT_ACCESS;
  event.flags = SNOOP_FLAG_RELATIVE;
  event.seen = kOpened;
  event.inode = 4711;
  event.path_len = static_cast<__u16>(path.size());
  event.base_len = static_cast<__u16>(base.size());
  event.resolved_len = static_cast<__u16>(resolved.size());
  event.mount_at = event.resolved_len;
  const std::string sections = path + base + resolved;
  event.size = static_cast<__u32>(sizeof(event) + sections.size());
  std::vector<std::byte> bytes(event.size);
  std::memcpy(bytes.data(), &event, sizeof(event));
  std::memcpy(bytes.data() + sizeof(event), sections.data(), sections.size());
  return bytes;
}

void decode_record(benchmark::State& state) {
  const std::vector<std::byte> bytes = record_bytes();
  if (!decode(bytes)) {
    state.SkipWithError("the record does not decode");
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(decode(bytes));
  }
}
BENCHMARK(decode_record);

void record_to_access(benchmark::State& state) {
  const std::vector<std::byte> bytes = record_bytes();
  for (auto _ : state) {
    benchmark::DoNotOptimize(to_access(*decode(bytes)));
  }
}
BENCHMARK(record_to_access);

void normalise_plain(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(normalise("/usr/lib/python3/dist-packages/apt/package.py"));
  }
}
BENCHMARK(normalise_plain);

void normalise_dots(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(normalise("/usr/lib/../lib//python3/./dist-packages/../dist-packages/apt/package.py"));
  }
}
BENCHMARK(normalise_dots);

void absolute_relative(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(absolute("/usr/lib/python3/dist-packages", "../apt/package.py"));
  }
}
BENCHMARK(absolute_relative);

AccessStore filled(const std::vector<std::string>& all) {
  AccessStore store(all.size());
  for (const std::string& path : all) {
    store.add({.path = path, .seen = kOpened, .first_seen = kNow, .last_seen = kNow, .count = 1});
  }
  return store;
}

void store_new(benchmark::State& state) {
  const std::vector<std::string> all = paths(state.range(0));
  double mib = 0;
  for (auto _ : state) {
    const double before = rss_mib();
    const AccessStore store = filled(all);
    benchmark::DoNotOptimize(store.size());
    mib = std::max(mib, rss_mib() - before);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["MiB"] = mib;
}
BENCHMARK(store_new)->Arg(10'000)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

void store_again(benchmark::State& state) {
  const std::vector<std::string> all = paths(state.range(0));
  AccessStore store = filled(all);
  size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        store.add({.path = all[at], .seen = kOpened, .first_seen = kNow, .last_seen = kNow, .count = 1}));
    at = (at + 7919) % all.size();
  }
}
BENCHMARK(store_again)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

void report_written(benchmark::State& state) {
  const std::vector<std::string> all = paths(state.range(0));
  Recorder recorder({.exclude = {}, .max_files = all.size()});
  snoop_target target = {};
  target.id = 1;
  Container& container = recorder.add_container("bench", 1, "/bench", target);
  container.observed = {{kNow, kOngoing}};
  container.discovery = Discovery(kNow);
  for (const std::string& path : all) {
    container.files.add({.path = path, .seen = kOpened, .first_seen = kNow, .last_seen = kNow, .count = 1});
  }
  ReportHeader header;
  header.tier = "tracepoint";
  header.hierarchy = "cgroup2";
  header.started_at = kNow;
  header.updated_at = kNow;
  double mib = 0;
  long size = 0;
  for (auto _ : state) {
    const double before = rss_mib();
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::tmpfile(), &std::fclose);
    write_report(stream.get(), header, recorder.containers());
    size = std::ftell(stream.get());
    mib = std::max(mib, rss_mib() - before);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["MiB"] = mib;
  state.counters["file_MiB"] = static_cast<double>(size) / (1 << 20);
}
BENCHMARK(report_written)->Arg(10'000)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace snoop

BENCHMARK_MAIN();
