// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "output/identity_json.h"
#include "output/report_json.h"
#include "packages/attribution.h"
#include "packages/purl.h"

namespace snoop {

namespace {

constexpr size_t kColumns = 6;
using Row = std::array<std::string, kColumns>;

std::vector<std::string> names_of(const std::vector<uint32_t>& numbers, const Databases& databases) {
  std::vector<std::string> names;
  for (const uint32_t number : numbers) {
    // Several architectures of one are sorted one behind the other.
    if (names.empty() || names.back() != databases.packages[number].name) {
      names.push_back(databases.packages[number].name);
    }
  }
  return names;
}

std::string needed_by_text(const PackageUse& use, const Databases& databases) {
  constexpr size_t kMostNames = 3;
  std::vector<std::string> names = names_of(use.needed_by, databases);
  const size_t more = names.size() - std::min(names.size(), kMostNames);
  names.resize(names.size() - more);
  std::transform(names.begin(), names.end(), names.begin(), [](const std::string& name) { return printable(name); });
  return fmt::format("needed by {}{}", fmt::join(names, ", "), more == 0 ? "" : fmt::format(" and {} more", more));
}

std::string note_of(const Package& package, const PackageUse& use, const Databases& databases) {
  std::vector<std::string> notes;
  if (use.state == PackageState::kUsed) {
    notes.push_back(printable(use.evidence));
  }
  if (!use.why.empty()) {
    notes.push_back(printable(use.why));
  }
  if (package.essential && use.state != PackageState::kUsed) {
    notes.emplace_back("essential");
  }
  if (!use.needed_by.empty()) {
    notes.push_back(needed_by_text(use, databases));
  }
  return fmt::format("{}", fmt::join(notes, "; "));
}

std::string shown(std::string_view text) { return text.empty() ? "-" : printable(text); }

std::string summary(const Attribution& attribution) {
  const auto count = [&](PackageState state) { return attribution.count(state); };
  return fmt::format(
      "packages: {}, used {}, not seen {}, no files {}, unknown {}; used files of no package {}, not there {}\n",
      attribution.packages.size(), count(PackageState::kUsed), count(PackageState::kNotSeen),
      count(PackageState::kNoFiles), count(PackageState::kUnknown), attribution.unowned.size(),
      attribution.not_in_root);
}

void put_flag(ReportWriter& json, std::string_view key, bool flag) {
  put_key(json, key);
  json.Bool(flag);
}

void put_texts(ReportWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  put_key(json, key);
  json.StartArray();
  for (const std::string& text : texts) {
    put_text(json, to_utf8(text));
  }
  json.EndArray();
}

void put_paths(ReportWriter& json, JsonOutput& output, std::string_view key, const std::vector<std::string>& paths) {
  put_key(json, key);
  json.StartArray();
  for (const std::string& path : paths) {
    json.StartObject();
    put_bytes(json, "path", path);
    json.EndObject();
    output.flush_if_enough();
  }
  json.EndArray();
}

void put_package(ReportWriter& json, JsonOutput& output, const Package& package, const PackageUse& use,
                 const AttributedReport& report) {
  json.StartObject();
  put_bytes(json, "name", package.name);
  put_bytes(json, "version", package.version);
  put_bytes(json, "arch", package.arch);
  put_bytes_unless_empty(json, "source", package.source);
  put_key(json, "purl");
  put_text(json, package_url(package, report.databases.os_id));
  put_key(json, "state");
  put_text(json, state_name(use.state));
  put_number(json, "files", use.files);
  put_number(json, "used_files", use.used_files);
  put_bytes_unless_empty(json, "evidence", use.evidence);
  put_bytes_unless_empty(json, "why", use.why);
  if (package.essential) {
    put_flag(json, "essential", true);
  }
  if (!use.needed_by.empty()) {
    put_texts(json, "needed_by", names_of(use.needed_by, report.databases));
  }
  if (report.lists_files) {
    put_paths(json, output, "used_paths", use.used_paths);
  }
  json.EndObject();
  output.flush_if_enough();
}

}  // namespace

void print_packages(std::FILE* stream, const AttributedReport& report) {
  const auto print = [stream](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stream); };
  const Attribution& attribution = report.attribution;
  std::vector<Row> rows = {{"STATE", "PACKAGE", "VERSION", "ARCH", "USED/FILES", "NOTE"}};
  for (size_t i = 0; i < attribution.packages.size(); i++) {
    const Package& package = report.databases.packages[i];
    const PackageUse& use = attribution.packages[i];
    rows.push_back({std::string(state_name(use.state)), shown(package.name), shown(package.version),
                    shown(package.arch), fmt::format("{}/{}", use.used_files, use.files),
                    note_of(package, use, report.databases)});
  }
  std::array<size_t, kColumns> widths = {};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; i++) {
      widths.at(i) = std::max(widths.at(i), row.at(i).size());
    }
  }
  for (size_t number = 0; number < rows.size(); number++) {
    std::string line;
    for (size_t i = 0; i < kColumns; i++) {
      fmt::format_to(std::back_inserter(line), "{:<{}}  ", rows[number].at(i), i + 1 < kColumns ? widths.at(i) : 0);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    print(line + "\n");
    if (report.lists_files && number != 0) {
      for (const std::string& path : attribution.packages[number - 1].used_paths) {
        print("  " + printable(path) + "\n");
      }
    }
  }
  if (report.lists_files && !attribution.unowned.empty()) {
    print("used files of no package:\n");
    for (const std::string& path : attribution.unowned) {
      print("  " + printable(path) + "\n");
    }
  }
  print(summary(attribution));
  print(fmt::format("# {}: {}.\n", title_of(*report.side.container), trust_text(report.side)));
  for (const std::string& caveat : attribution.caveats) {
    print("# not_seen is not to be trusted: " + printable(caveat) + "\n");
  }
  print("# not_seen says that none of its files was used while snoop watched, not that the package is not needed.\n");
}

void print_packages_json(std::FILE* stream, const AttributedReport& report) {
  const Attribution& attribution = report.attribution;
  JsonOutput output(stream);
  ReportWriter json(output.buffer());
  json.SetIndent(' ', 1);
  json.StartObject();
  put_side(json, "container", report.side);
  put_texts(json, "databases", report.databases.read);
  put_texts(json, "databases_not_read", report.databases.not_read);
  put_texts(json, "caveats", attribution.caveats);
  put_key(json, "summary");
  json.StartObject();
  put_number(json, "packages", attribution.packages.size());
  for (const PackageState state :
       {PackageState::kUsed, PackageState::kNotSeen, PackageState::kNoFiles, PackageState::kUnknown}) {
    put_number(json, state_name(state), attribution.count(state));
  }
  put_number(json, "unowned_files", attribution.unowned.size());
  put_number(json, "files_not_there", attribution.not_in_root);
  json.EndObject();
  put_key(json, "packages");
  json.StartArray();
  for (size_t i = 0; i < attribution.packages.size(); i++) {
    put_package(json, output, report.databases.packages[i], attribution.packages[i], report);
  }
  json.EndArray();
  if (report.lists_files) {
    put_paths(json, output, "unowned", attribution.unowned);
  }
  json.EndObject();
  output.buffer().Put('\n');
  output.flush();
}

}  // namespace snoop
