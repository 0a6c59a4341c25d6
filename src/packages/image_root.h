// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "container/root_walk.h"

namespace snoop {

/// The root file system of an image, whose links and names may be anything: nothing here leads out of it. All paths
/// are absolute there.
class ImageRoot {
 public:
  /// An error: it is no directory, or cannot be opened.
  [[nodiscard]] static Result<ImageRoot> open(const std::string& directory);

  /// The bytes of a regular file, links followed; nothing: there is none. An error: it cannot be read, or has more
  /// bytes than that.
  [[nodiscard]] Result<std::optional<std::string>> read(const std::string& path, size_t max_bytes);
  /// Names in a directory, sorted; none where it cannot be read.
  [[nodiscard]] std::vector<std::string> names_in(const std::string& path);

  /// The same place with all links to its directory followed; the last component stays. What is not there is
  /// followed as far as it goes. So two spellings of one place have one text.
  [[nodiscard]] std::string canonical(std::string_view path);
  /// Where it leads, each link on the way with it.
  [[nodiscard]] Walk walk(const std::string& path);
  /// What is at a canonical place, links not followed; nothing: there is nothing. Faster for one directory at a time.
  [[nodiscard]] std::optional<struct stat> look(const std::string& canonical);
  /// The first place that could not be looked at, so that nobody knows what is there; empty: none.
  [[nodiscard]] const std::string& refused() const { return refused_; }

 private:
  explicit ImageRoot(UniqueFd root);
  /// Its text, and its canonical form without a slash at the end.
  using CanonicalDirectory = std::pair<const std::string, std::string>;
  [[nodiscard]] const CanonicalDirectory& canonical_directory(const std::string& path);

  RootWalker walker_;
  /// Its elements stay where they are, also when it grows or is moved.
  std::unordered_map<std::string, std::string> directories_;
  const CanonicalDirectory* last_directory_ = nullptr;
  std::string refused_;
  /// That of the last look, without a slash at the end; nothing: not there.
  std::optional<std::string> looked_in_;
  UniqueFd looked_in_fd_;
};

}  // namespace snoop
