// SPDX-License-Identifier: Apache-2.0
// An image with packages, and a report of what was used of it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "packages/attribution.h"
#include "report_draft.h"
#include "temp_dir.h"

namespace snoop {

/// A root directory with package databases, and a report of what was used of it.
class PackagesTest : public testing::Test {
 protected:
  void file(const std::string& path, std::string_view text = "") { write_file(dir.path() + path, text); }
  void directory(const std::string& path) { std::filesystem::create_directories(dir.path() + path); }
  void link(const std::string& target, const std::string& path) {
    std::filesystem::create_directories(std::filesystem::path(dir.path() + path).parent_path());
    std::filesystem::create_symlink(target, dir.path() + path);
  }
  /// Installed by dpkg, with these paths in its list. `fields`: further ones, each with a line break.
  void deb(const std::string& name, const std::vector<std::string>& paths, const std::string& fields = "") {
    status += "Package: " + name + "\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\n" + fields +
              "Description: " + name + "\n goes on: here\n\n";
    std::string list = "/.\n";
    for (const std::string& path : paths) {
      list += path + "\n";
    }
    file("/var/lib/dpkg/info/" + name + ".list", list);
  }
  void use(const std::string& path, const std::string& resolved = "", uint64_t kinds = seen(SNOOP_KIND_READ),
           FileOrigin origin = FileOrigin::kImage) {
    container->files.add({.path = path,
                          .resolved = resolved,
                          .seen = kinds,
                          .first_seen = kStart + ++uses * kSecond,
                          .last_seen = kStart + 100 * kSecond,
                          .count = 1,
                          .origin = origin});
  }

  void write_status() {
    if (!status.empty()) {
      file("/var/lib/dpkg/status", std::exchange(status, {}));
    }
  }
  Result<Databases> read() {
    write_status();
    Result<ImageRoot> opened = ImageRoot::open(dir.path());
    return opened ? read_databases(*opened) : tl::unexpected(opened.error());
  }
  /// To be called once: all below is about it.
  void attribute_all() {
    report = draft.report();
    side = *choose_container(report.contents, "");
    databases = *read();
    Result<ImageRoot> opened = ImageRoot::open(dir.path());
    Ownership ownership(*opened, databases);
    attribution = attribute(report.contents.header, side, databases, ownership);
  }
  [[nodiscard]] const PackageUse& of(const std::string& name) const {
    for (size_t i = 0; i < databases.packages.size(); i++) {
      if (databases.packages[i].name == name) {
        return attribution.packages[i];
      }
    }
    ADD_FAILURE() << "no package " << name;
    return attribution.packages.at(0);
  }
  [[nodiscard]] std::string state(const std::string& name) const { return std::string(state_name(of(name).state)); }
  [[nodiscard]] std::vector<std::string> needed_by_of(const std::string& name) const {
    std::vector<std::string> names;
    for (const uint32_t number : of(name).needed_by) {
      names.push_back(databases.packages[number].name);
    }
    return names;
  }
  [[nodiscard]] std::string printed(bool json = false, bool files = false) const {
    const AttributedReport attributed{side, databases, attribution, files};
    return written([&](std::FILE* stream) { (json ? print_packages_json : print_packages)(stream, attributed); });
  }

  TempDir dir;
  std::string status;
  Draft draft{"h"};
  Container* container = &draft.add("web", "sha256:1");
  int uses = 0;
  NamedReport report;
  ReportSide side;
  Databases databases;
  Attribution attribution;
};

}  // namespace snoop
