// SPDX-License-Identifier: Apache-2.0
#include "packages/ownership.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace snoop {

namespace {

/// A directory that more packages own, as /usr/bin, tells nothing of who made a file in it.
constexpr size_t kMostTellingOwners = 8;

std::string_view parent_of(std::string_view path) { return path.substr(0, std::max<size_t>(path.rfind('/'), 1)); }

/// Python runs "x/__pycache__/y.cpython-311.pyc", made when the package was installed, in place of "x/y.py" (PEP 3147).
/// Empty: it is no such file.
std::string python_source_of(std::string_view path) {
  constexpr std::string_view kCache = "/__pycache__/";
  const size_t cache = path.rfind(kCache);
  const size_t name = cache + kCache.size();
  const size_t dot = cache == std::string_view::npos ? cache : path.find('.', name);
  if (dot == std::string_view::npos || !path.ends_with(".pyc") || path.find('/', name) != std::string_view::npos) {
    return {};
  }
  return std::string(path.substr(0, cache)) + "/" + std::string(path.substr(name, dot - name)) + ".py";
}

}  // namespace

Ownership::Ownership(ImageRoot& root, const Databases& databases) : root_(root) {
  std::unordered_map<std::string, std::vector<const Diversion*>> diversions;
  std::set<std::string_view> diverting;
  for (const Diversion& diversion : databases.diversions) {
    diversions[root.canonical(diversion.from)].push_back(&diversion);
    diverting.insert(diversion.by);
  }
  // What lies there is their own, so what others have there was moved.
  std::set<std::pair<std::string_view, std::string>> has_own;
  for (const Package& package : databases.packages) {
    if (diverting.contains(package.name)) {
      for (const std::string& path : package.files) {
        if (std::string canonical = root.canonical(path); diversions.contains(canonical)) {
          has_own.emplace(package.name, std::move(canonical));
        }
      }
    }
  }
  for (uint32_t number = 0; number < databases.packages.size(); number++) {
    const Package& package = databases.packages[number];
    // What a script of whoever diverts made in its place is theirs, too.
    for (const auto& [from, all] : diversions) {
      for (const Diversion* diversion : diverting.contains(package.name) ? all : std::vector<const Diversion*>()) {
        if (diversion->by == package.name && root.look(from) && root.look(root.canonical(diversion->to))) {
          add(number, from, false);
        }
      }
    }
    for (const std::string& path : package.directories) {
      add(number, root.canonical(path), true);
    }
    for (const std::string& path : package.files) {
      const std::string canonical = root.canonical(path);
      bool is_elsewhere = false;
      if (const auto found = diversions.find(canonical);
          found != diversions.end() && package.type == Package::Type::kDeb) {
        for (const Diversion* diversion : found->second) {
          if (diversion->by != package.name) {
            const std::string to = root.canonical(diversion->to);
            add(number, to, false);
            // It was not moved where there is nothing: then it may be what is here. And whoever diverts need not have
            // moved it (dpkg-divert --no-rename), unless something of their own is here.
            is_elsewhere = is_elsewhere || (has_own.contains({diversion->by, canonical}) && root.look(to).has_value());
          }
        }
      }
      if (!is_elsewhere) {
        add(number, canonical, false);
      }
    }
  }
  look_at_files(root);
}

void Ownership::add(uint32_t package, const std::string& path, bool is_directory) {
  if (is_directory) {
    std::vector<uint32_t>& owners = directories_[path];
    if (owners.size() <= kMostTellingOwners && std::find(owners.begin(), owners.end(), package) == owners.end()) {
      owners.push_back(package);
    }
    return;
  }
  const auto [found, is_new] = numbers_.try_emplace(path, static_cast<uint32_t>(files_.size()));
  if (is_new) {
    files_.push_back({found->first, {}, false});
  }
  std::vector<uint32_t>& owners = files_[found->second].owners;
  // Packages come one after the other.
  if (owners.empty() || owners.back() != package) {
    owners.push_back(package);
  }
}

void Ownership::look_at_files(ImageRoot& root) {
  // One directory is open at a time.
  std::unordered_map<std::string_view, std::vector<uint32_t>> by_directory;
  for (uint32_t number = 0; number < files_.size(); number++) {
    by_directory[parent_of(files_[number].path)].push_back(number);
  }
  for (const auto& [directory, numbers] : by_directory) {
    for (const uint32_t number : numbers) {
      look_at(root, number);
    }
  }
}

void Ownership::look_at(ImageRoot& root, uint32_t number) {
  File& file = files_[number];
  const std::string path(file.path);
  const std::optional<struct stat> info = root.look(path);
  file.is_there = info.has_value();
  // Listed with nothing below it; /lib of one package is a directory where another has files in it, whatever it is now.
  if (info && (S_ISDIR(info->st_mode) || (S_ISLNK(info->st_mode) && directories_.contains(path)))) {
    for (const uint32_t owner : file.owners) {
      add(owner, path, true);
    }
    file.owners.clear();
  } else if (info && S_ISREG(info->st_mode) && info->st_nlink > 1) {
    hard_links_[{info->st_dev, info->st_ino}].push_back(number);
  }
}

void Ownership::note(const std::string& canonical, std::vector<uint32_t>& found) const {
  if (const auto number = numbers_.find(canonical); number != numbers_.end()) {
    found.push_back(number->second);
  }
}

Ownership::Found Ownership::find(std::string_view path) {
  Found found;
  const std::string asked(path);
  const Walk walked = root_.walk(asked);
  const auto is_owned = [&](const std::string& name) {
    const size_t before = found.files.size();
    note(name, found.files);
    return found.files.size() > before && !files_[found.files.back()].owners.empty();
  };
  const std::string canonical = root_.canonical(asked);
  if (!is_owned(canonical)) {
    found.unowned_names = {asked, canonical};
  }
  for (const WalkedLink& link : walked.links) {
    if (!is_owned(link.path)) {
      found.unowned_names.push_back(link.path);
      if (link.path == canonical) {
        found.unowned_link = canonical;
      }
    }
  }
  found.place = walked.end == Walk::End::kFound ? walked.resolved : root_.canonical(asked);
  found.is_owned = is_owned(found.place);
  if (const std::string source = python_source_of(found.place); !source.empty() && is_owned(source)) {
    found.is_owned = true;
  }
  if (const std::optional<struct stat> info = root_.look(found.place)) {
    found.is_there = true;
    found.is_directory = S_ISDIR(info->st_mode);
    const auto others = hard_links_.find({info->st_dev, info->st_ino});
    if (others != hard_links_.end()) {
      found.is_owned = true;
      found.files.insert(found.files.end(), others->second.begin(), others->second.end());
    }
  }
  std::sort(found.files.begin(), found.files.end());
  found.files.erase(std::unique(found.files.begin(), found.files.end()), found.files.end());
  std::erase_if(found.files, [&](uint32_t number) { return files_[number].owners.empty(); });
  return found;
}

std::vector<uint32_t> Ownership::owners_around(const std::string& place) const {
  for (std::string_view above = parent_of(place); above.size() > 1; above = parent_of(above)) {
    if (const auto owned = directories_.find(std::string(above)); owned != directories_.end()) {
      return owned->second.size() <= kMostTellingOwners ? owned->second : std::vector<uint32_t>();
    }
  }
  return {};
}

}  // namespace snoop
