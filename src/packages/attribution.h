// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "output/report_side.h"
#include "packages/database.h"
#include "packages/ownership.h"

namespace snoop {

enum class PackageState {
  kUsed,     ///< a file of it was used
  kNotSeen,  ///< none was, as far as the report goes
  kNoFiles,  ///< it has none but directories and documentation: files cannot tell
  kUnknown,  ///< none was seen, and yet one may have been: see PackageUse::why
};

/// "used", "not_seen", "no_files", "unknown".
[[nodiscard]] std::string_view state_name(PackageState state);

/// What a report says of a package.
struct PackageUse {
  PackageState state = PackageState::kNotSeen;
  /// Those that it owns and that are in the image, or were used; directories are none.
  size_t files = 0;
  size_t used_files = 0;
  /// The path of the report that was used first, of those that say that it is used.
  std::string evidence;
  /// Of kUnknown.
  std::string why;
  /// Packages that need it and are used, or may be, or are needed by such a one: into Databases::packages. Only where
  /// it is not used itself.
  std::vector<uint32_t> needed_by;
  /// Canonical, sorted.
  std::vector<std::string> used_paths;
};

/// Which packages of an image the files of a report belong to.
struct Attribution {
  /// One for each of Databases::packages.
  std::vector<PackageUse> packages;
  /// Paths of used files that are in the image, or may be of it, and belong to no package. Sorted; without directories
  /// and links on the way.
  std::vector<std::string> unowned;
  /// Used files that belong to no package and are not there.
  size_t not_in_root = 0;
  /// Those of them that surely are of the image.
  size_t image_not_in_root = 0;
  /// Why a package that was not seen may have been used all the same, in words.
  std::vector<std::string> caveats;

  [[nodiscard]] size_t count(PackageState state) const;
};

/// The containers that are meant, as one: those of this name, which must be of one image; without a name the only one.
/// An error: there is none, or a choice.
[[nodiscard]] Result<ReportSide> choose_container(const ReportContents& report, const std::string& name);

/// `side` is of `report`.
[[nodiscard]] Attribution attribute(const ReportHeader& report, const ReportSide& side, const Databases& databases,
                                    Ownership& ownership);

/// What is printed, and of what.
struct AttributedReport {
  const ReportSide& side;
  const Databases& databases;
  const Attribution& attribution;
  /// Also each used file of a package, and those of no package.
  bool lists_files = false;
};

/// A table, safe for a terminal.
void print_packages(std::FILE* stream, const AttributedReport& report);
/// One JSON object: docs/report-format.md.
void print_packages_json(std::FILE* stream, const AttributedReport& report);

}  // namespace snoop
