// SPDX-License-Identifier: Apache-2.0
#include "packages/dpkg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace snoop {

namespace {

const std::string kDpkg = "/var/lib/dpkg";

/// Fields of a paragraph, names in lower case: deb-control(5).
using Paragraph = std::map<std::string, std::string, std::less<>>;

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

std::string_view field(const Paragraph& paragraph, std::string_view name) {
  const auto found = paragraph.find(name);
  return found == paragraph.end() ? std::string_view() : std::string_view(found->second);
}

/// Lines that belong to a field are kept with their line break.
std::vector<Paragraph> parse_paragraphs(std::string_view text, const std::string& path, Databases& databases) {
  std::vector<Paragraph> paragraphs;
  Paragraph current;
  std::string* value = nullptr;
  BadLines bad;
  const auto finish = [&] {
    if (!current.empty()) {
      paragraphs.push_back(std::exchange(current, {}));
    }
    value = nullptr;
  };
  for (size_t line_number = 1; !text.empty(); line_number++) {
    const std::string_view line = take_until(text, '\n');
    if (trimmed(line).empty()) {
      finish();
      continue;
    }
    const bool goes_on = line.front() == ' ' || line.front() == '\t';
    const size_t colon = line.find(':');
    if (line.find('\0') != std::string_view::npos || (goes_on ? value == nullptr : colon == std::string_view::npos)) {
      bad.add(line_number);
      continue;
    }
    if (goes_on) {
      *value += '\n';
      *value += trimmed(line);
    } else {
      std::string name = lower(line.substr(0, colon));
      if (name == "package" && current.contains(name)) {
        bad.add(line_number);  // the empty line before it is lost
        finish();
      }
      value = &current[std::move(name)];
      *value = trimmed(line.substr(colon + 1));
    }
  }
  finish();
  if (bad.any()) {
    databases.warnings.push_back(bad.text(path));
  }
  return paragraphs;
}

/// "libc6 (>= 2.34) | libc6.1, python3:any" to the names: of each, any one will do.
std::vector<std::vector<std::string>> parse_needs(std::string_view text) {
  std::vector<std::vector<std::string>> needs;
  while (!text.empty()) {
    std::string_view choice = take_until(text, ',');
    std::vector<std::string> names;
    while (!choice.empty()) {
      std::string_view name = trimmed(take_until(choice, '|'));
      name = name.substr(0, name.find_first_of(" \t\n(["));
      name = name.substr(0, name.find(':'));
      if (!name.empty()) {
        names.emplace_back(name);
      }
    }
    if (!names.empty()) {
      needs.push_back(std::move(names));
    }
  }
  return needs;
}

/// deb-control(5), Package: nothing that could be another file.
bool is_sound_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.size() < 256 &&
         name.find_first_of("/\n") == std::string_view::npos;
}

/// Whether its files are there: dpkg(1), package states.
bool has_files(std::string_view status) {
  std::string_view state;
  while (!status.empty()) {
    state = take_until(status, ' ');
  }
  return state != "not-installed" && state != "config-files";
}

Package package_of(const Paragraph& paragraph) {
  Package package;
  package.type = Package::Type::kDeb;
  package.name = field(paragraph, "package");
  package.version = field(paragraph, "version");
  package.arch = field(paragraph, "architecture");
  std::string_view source = field(paragraph, "source");
  source = source.substr(0, source.find_first_of(" (\n"));
  package.source = source == package.name ? "" : source;
  package.essential = field(paragraph, "essential") == "yes" || field(paragraph, "protected") == "yes";
  for (const char* name : {"pre-depends", "depends"}) {
    for (std::vector<std::string>& need : parse_needs(field(paragraph, name))) {
      package.needs.push_back(std::move(need));
    }
  }
  for (const std::vector<std::string>& names : parse_needs(field(paragraph, "provides"))) {
    package.provides.insert(package.provides.end(), names.begin(), names.end());
  }
  return package;
}

/// Those of the control file: " PATH MD5 [obsolete]".
void add_configuration_files(const Paragraph& paragraph, Package& package) {
  std::string_view text = field(paragraph, "conffiles");
  while (!text.empty()) {
    std::string_view line = trimmed(take_until(text, '\n'));
    const std::string path(take_until(line, ' '));
    if (is_sound_path(path)) {
      package.files.push_back(path);
    }
  }
}

/// Files apart from directories, as far as the list itself tells: what has something below it.
void set_files(Package& package, const std::vector<std::string>& listed) {
  std::unordered_set<std::string_view> above;
  for (const std::string_view path : listed) {
    for (size_t slash = path.rfind('/'); slash != 0 && slash != std::string_view::npos;
         slash = path.rfind('/', slash - 1)) {
      if (!above.insert(path.substr(0, slash)).second) {
        break;
      }
    }
  }
  std::vector<std::string> files;
  std::vector<std::string> directories;
  for (const std::string& path : listed) {
    (above.contains(path) ? directories : files).push_back(path);
  }
  package.files = std::move(files);
  package.directories = std::move(directories);
}

/// A list that ends in the middle of a line was cut off.
std::string doubt_of(const BadLines& bad, std::string_view text, const std::string& path) {
  return bad.any() ? bad.text(path) : !text.empty() && text.back() != '\n' ? fmt::format("{} was cut off", path) : "";
}

/// info/NAME.list, or info/NAME:ARCH.list where several architectures may be installed at once. Where both are there,
/// one is stale: nobody can tell which.
void read_list(ImageRoot& root, Package& package) {
  std::vector<std::string> listed;
  bool is_any = false;
  for (const std::string& name : {package.name + ":" + package.arch, package.name}) {
    const std::string path = fmt::format("{}/info/{}.list", kDpkg, name);
    const Result<std::optional<std::string>> bytes = root.read(path, kMaxDatabaseBytes);
    if (!bytes) {
      package.doubt = bytes.error().message();
      return;
    }
    if (!*bytes) {
      continue;
    }
    is_any = true;
    std::string_view text = **bytes;
    if (text.empty()) {
      package.doubt = path + " is empty: it should have the root directory at least";
    }
    BadLines bad;
    for (size_t line_number = 1; !text.empty(); line_number++) {
      const std::string_view line = take_until(text, '\n');
      if (line == "/.") {
        continue;  // each list begins with it
      }
      if (is_sound_path(line) && !line.ends_with('\r')) {
        listed.emplace_back(line);
      } else {
        bad.add(line_number);
      }
    }
    if (package.doubt.empty()) {
      package.doubt = doubt_of(bad, **bytes, path);
    }
  }
  set_files(package, listed);
  if (!is_any) {
    package.doubt = "its list of files is not there";
  }
}

/// All that looks like a path in a script, "$ROOT/etc/x" as "/etc/x", too.
void add_paths_of(std::string_view script, std::vector<std::string>& paths) {
  constexpr std::string_view kPathBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.+-@:";
  while (!script.empty()) {
    const size_t end = std::min(script.find_first_not_of(kPathBytes), script.size());
    std::string_view word = script.substr(0, end);
    word = word.substr(0, word.find_last_not_of(".:") + 1);
    // No more of them than any path has: a script may be anything.
    constexpr int kMostParts = 32;
    size_t slash = word.find('/');
    for (int part = 0; slash != std::string_view::npos && part < kMostParts; part++) {
      if (is_sound_path(word.substr(slash))) {
        paths.emplace_back(word.substr(slash));
      }
      slash = word.find('/', slash + 1);
    }
    script.remove_prefix(std::min(end + 1, script.size()));
  }
}

/// `there`: names in info, sorted.
void read_scripts(ImageRoot& root, const std::vector<std::string>& there, Package& package) {
  constexpr size_t kMaxScriptBytes = 1UL << 20;
  for (const std::string& name : {package.name + ":" + package.arch, package.name}) {
    for (const char* script : {"config", "postinst", "postrm", "preinst", "prerm"}) {
      const std::string file = fmt::format("{}.{}", name, script);
      if (std::binary_search(there.begin(), there.end(), file)) {
        const Result<std::optional<std::string>> bytes =
            root.read(fmt::format("{}/info/{}", kDpkg, file), kMaxScriptBytes);
        if (bytes && *bytes) {
          add_paths_of(**bytes, package.named_in_scripts);
        } else if (!bytes && package.doubt.empty()) {
          package.doubt = bytes.error().message();  // it may name anything
        }
      }
    }
  }
}

/// "MD5  usr/bin/x": neither directories nor links, and no configuration files.
void read_md5sums(ImageRoot& root, const std::string& path, Package& package) {
  package.lists_data_only = true;
  const Result<std::optional<std::string>> bytes = root.read(path, kMaxDatabaseBytes);
  if (!bytes || !*bytes) {
    package.doubt = bytes ? "its list of files is not there" : bytes.error().message();
    return;
  }
  std::string_view text = **bytes;
  BadLines bad;
  for (size_t line_number = 1; !text.empty(); line_number++) {
    std::string_view line = take_until(text, '\n');
    const std::string_view sum = take_until(line, ' ');
    const size_t begin = line.find_first_not_of(" *");
    std::string file = "/";
    if (begin != std::string_view::npos) {
      file += line.substr(line.substr(begin).starts_with("./") ? begin + 2 : begin);
    }
    if (sum.size() == 32 && is_sound_path(file)) {
      package.directories.push_back(file.substr(0, std::max<size_t>(file.rfind('/'), 1)));
      package.files.push_back(std::move(file));
    } else {
      bad.add(line_number);
    }
  }
  package.doubt = doubt_of(bad, **bytes, path);
}

/// Three lines each: from, to, and the package that diverts, or ":".
Result<void> read_diversions(ImageRoot& root, Databases& databases) {
  const std::string path = kDpkg + "/diversions";
  const Result<std::optional<std::string>> bytes = root.read(path, kMaxDatabaseBytes);
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  std::string_view text = *bytes ? std::string_view(**bytes) : std::string_view();
  BadLines bad;
  if (!text.empty() && text.back() != '\n') {
    databases.warnings.push_back(path + " was cut off");
  }
  for (size_t line_number = 1; !text.empty(); line_number += 3) {
    const std::string_view from = take_until(text, '\n');
    const std::string_view to = take_until(text, '\n');
    const std::string_view by = take_until(text, '\n');
    if (is_sound_path(from) && is_sound_path(to) && !by.empty()) {
      databases.diversions.push_back({std::string(from), std::string(to), by == ":" ? "" : std::string(by)});
    } else {
      bad.add(line_number);
    }
  }
  if (bad.any()) {
    databases.warnings.push_back(bad.text(path));
  }
  return {};
}

/// The packages of one file of control paragraphs. `installed`: only those of which it says so.
std::vector<std::pair<Package, const Paragraph*>> packages_in(const std::vector<Paragraph>& paragraphs,
                                                              const std::string& path, bool installed,
                                                              Databases& databases) {
  std::vector<std::pair<Package, const Paragraph*>> packages;
  size_t nameless = 0;
  for (const Paragraph& paragraph : paragraphs) {
    if (!is_sound_name(field(paragraph, "package"))) {
      nameless++;
    } else if (!installed || has_files(field(paragraph, "status"))) {
      packages.emplace_back(package_of(paragraph), &paragraph);
    }
  }
  if (nameless != 0) {
    databases.warnings.push_back(fmt::format("{} paragraphs of {} name no package", nameless, path));
  }
  return packages;
}

Result<void> read_status(ImageRoot& root, Databases& databases) {
  const std::string path = kDpkg + "/status";
  const Result<std::optional<std::string>> bytes = root.read(path, kMaxDatabaseBytes);
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  if (!*bytes) {
    return {};
  }
  databases.read.push_back(path);
  if (!(*bytes)->empty() && (*bytes)->back() != '\n') {
    databases.warnings.push_back(path + " was cut off: packages may be missing");
  }
  const std::vector<Paragraph> paragraphs = parse_paragraphs(**bytes, path, databases);
  const std::vector<std::string> names_in_info = root.names_in(kDpkg + "/info");
  for (auto& [package, paragraph] : packages_in(paragraphs, path, true, databases)) {
    read_list(root, package);
    read_scripts(root, names_in_info, package);
    add_configuration_files(*paragraph, package);
    databases.add(std::move(package));
  }
  return read_diversions(root, databases);
}

Result<void> read_status_d(ImageRoot& root, Databases& databases) {
  const std::string directory = kDpkg + "/status.d";
  bool is_any = false;
  for (const std::string& name : root.names_in(directory)) {
    if (name.ends_with(".md5sums")) {
      continue;
    }
    const std::string path = fmt::format("{}/{}", directory, name);
    const Result<std::optional<std::string>> bytes = root.read(path, kMaxDatabaseBytes);
    if (!bytes && bytes.error().code == EACCES) {
      return tl::unexpected(bytes.error());
    }
    is_any = true;
    if (!bytes || !*bytes) {
      const std::string why = bytes ? path + " leads nowhere" : bytes.error().message();
      databases.warnings.push_back(why + ": a package may be missing");
      continue;
    }
    const std::vector<Paragraph> paragraphs = parse_paragraphs(**bytes, path, databases);
    for (auto& [package, paragraph] : packages_in(paragraphs, path, false, databases)) {
      read_md5sums(root, path + ".md5sums", package);
      add_configuration_files(*paragraph, package);
      databases.add(std::move(package));
    }
  }
  if (is_any) {
    databases.read.push_back(directory);
  }
  return {};
}

}  // namespace

Result<void> read_dpkg(ImageRoot& root, Databases& databases) {
  if (Result<void> done = read_status(root, databases); !done) {
    return done;
  }
  return read_status_d(root, databases);
}

}  // namespace snoop
