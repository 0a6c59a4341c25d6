// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packages/image_root.h"

namespace snoop {

/// Most bytes of one file of a database: that of a large system has 10 MiB.
inline constexpr size_t kMaxDatabaseBytes = 256UL << 20;
/// Most places that the packages of an image may list, together: a large system has half a million.
inline constexpr size_t kMaxListedPaths = 8'000'000;

/// An installed package, as its database has it.
struct Package {
  enum class Type { kDeb, kApk };
  Type type = Type::kDeb;
  std::string name;
  std::string version;
  std::string arch;
  /// The source package, where its name is another; empty: it is the same, or not known.
  std::string source;
  /// The package manager does not remove it.
  bool essential = false;
  /// What it owns, absolute and as listed. A directory may stand among the files if nothing below it is listed.
  std::vector<std::string> files;
  std::vector<std::string> directories;
  /// Why more may belong to it than is listed; empty: that is all.
  std::string doubt;
  /// The list has neither configuration files nor links (md5sums).
  bool lists_data_only = false;
  /// Paths that its maintainer scripts name: files that they make are in no list.
  std::vector<std::string> named_in_scripts;
  /// What it needs: any one of the names of each will do. A path is a file of another package.
  std::vector<std::vector<std::string>> needs;
  /// Other names under which packages need it.
  std::vector<std::string> provides;
};

/// Of other packages than `by`, what is listed at `from` is at `to` (dpkg-divert(1)).
struct Diversion {
  std::string from;
  std::string to;
  /// Empty: none, the administrator's own.
  std::string by;
};

/// What the package databases of an image say.
struct Databases {
  /// Sorted by name, architecture, version.
  std::vector<Package> packages;
  std::vector<Diversion> diversions;
  /// Those that were read, and those that snoop cannot read.
  std::vector<std::string> read;
  std::vector<std::string> not_read;
  /// ID of os-release(5); empty: not known.
  std::string os_id;
  /// What made no sense, for people.
  std::vector<std::string> warnings;
  /// Of all packages. Beyond kMaxListedPaths no more packages are kept.
  size_t listed_paths = 0;

  void add(Package package);
};

/// An error: there is none, or none that can be read as a whole.
[[nodiscard]] Result<Databases> read_databases(ImageRoot& root);

// For the readers of each kind.

/// Takes the text up to the next of `separator` off the front.
[[nodiscard]] std::string_view take_until(std::string_view& text, char separator);
/// Without white space at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// Whether a listed path can be one: absolute, no longer than a path can be, without NUL and `..`.
[[nodiscard]] bool is_sound_path(std::string_view path);

/// Counts lines that make no sense, so that a damaged file makes one warning.
class BadLines {
 public:
  void add(size_t line) { first_ = count_++ == 0 ? line : first_; }
  [[nodiscard]] bool any() const { return count_ != 0; }
  /// "3 lines of /x make no sense, the first is line 7".
  [[nodiscard]] std::string text(const std::string& path) const;

 private:
  size_t count_ = 0;
  size_t first_ = 0;
};

}  // namespace snoop
