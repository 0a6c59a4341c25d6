// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "output/merge.h"
#include "report_bytes.h"
#include "seen.h"

namespace snoop {

inline constexpr WallTime kStart = 1'700'000'000 * kSecond;

/// A report, and a way to put containers into it.
struct Draft {
  ReportHeader header;
  Recorder recorder{{.exclude = {}, .max_files = 1'000'000}};
  uint32_t last = 0;

  explicit Draft(const std::string& hostname, WallTime from = 0, WallTime to = 60) {
    header.snoop_version = "1.2.3";
    header.hostname = hostname;
    header.kernel = "6.18";
    header.arch = "x86_64";
    header.machine_id = "0123456789abcdef0123456789abcdef";
    header.tier = "tracepoint";
    header.hierarchy = "cgroup2";
    header.started_at = kStart + from * kSecond;
    header.updated_at = kStart + to * kSecond;
    header.final = true;
  }

  Container& add(const std::string& name, const std::string& digest, const std::string& image_id = "",
                 const std::string& image = "") {
    snoop_target target = {};
    target.id = ++last;
    Container& container = recorder.add_container(name, 100 + last, "/" + header.hostname + "/" + name, target);
    container.image = image;
    container.image_digest = digest;
    container.identity.image_id = image_id;
    container.observed = {{header.started_at, kOngoing}};
    container.discovery = Discovery(header.started_at);
    return container;
  }

  static void use(Container& container, const AccessStore::Use& use) {
    if (container.files.add(use).first_found) {
      container.discovery.add(use.first_seen);
    }
  }

  /// As it would be read.
  [[nodiscard]] NamedReport report(const std::string& name = "") {
    const std::string bytes = bytes_of(header, recorder.containers());
    Result<ReportContents> contents = read_bytes(bytes);
    EXPECT_TRUE(contents) << contents.error().message() << bytes;
    return {name.empty() ? header.hostname : name, std::move(*contents)};
  }
};

}  // namespace snoop
