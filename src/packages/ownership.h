// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "packages/database.h"
#include "packages/image_root.h"

namespace snoop {

/// Which packages own which places of an image. Databases and reports spell places in different ways (merged /usr,
/// linked directories, diversions): all are compared in their canonical form.
class Ownership {
 public:
  /// A place that packages own and that is no directory.
  struct File {
    /// Canonical; valid as long as this is.
    std::string_view path;
    /// Into Databases::packages.
    std::vector<uint32_t> owners;
    bool is_there = false;
  };

  Ownership(ImageRoot& root, const Databases& databases);

  [[nodiscard]] const std::vector<File>& files() const { return files_; }

  /// What a path of a report stands for in the image.
  struct Found {
    /// Into files(), sorted: the file, each link on the way, and their hard links.
    std::vector<uint32_t> files;
    /// Canonical, all links followed.
    std::string place;
    /// Somebody owns the file there.
    bool is_owned = false;
    /// Names on the way that nobody owns: as asked for, that canonical, links.
    std::vector<std::string> unowned_names;
    /// A link that nobody owns, and that the path ends with; empty: none.
    std::string unowned_link;
    bool is_there = false;
    bool is_directory = false;
  };
  [[nodiscard]] Found find(std::string_view path);
  /// With the links to its directories followed.
  [[nodiscard]] std::string canonical(const std::string& path) const { return root_.canonical(path); }

  /// The first place of the image that could not be looked at; empty: none.
  [[nodiscard]] const std::string& refused() const { return root_.refused(); }

  /// Who owns the directory of a file that nobody owns, or the next one above that somebody owns: a package may have
  /// made it. Empty where there are too many to tell.
  [[nodiscard]] std::vector<uint32_t> owners_around(const std::string& place) const;

 private:
  void add(uint32_t package, const std::string& path, bool is_directory);
  void look_at_files(ImageRoot& root);
  void look_at(ImageRoot& root, uint32_t number);
  void note(const std::string& canonical, std::vector<uint32_t>& found) const;

  ImageRoot& root_;
  std::vector<File> files_;
  /// By canonical path.
  std::unordered_map<std::string, uint32_t> numbers_;
  /// Packages that own a directory; no more than tell anything.
  std::unordered_map<std::string, std::vector<uint32_t>> directories_;
  /// Of files that have several names: by device and inode.
  std::map<std::pair<dev_t, ino_t>, std::vector<uint32_t>> hard_links_;
};

}  // namespace snoop
