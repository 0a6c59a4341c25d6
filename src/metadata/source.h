// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "metadata/container.h"
#include "metadata/lines.h"

namespace snoop::metadata {

/// A list of thousands of containers, or one with thousands of mounts.
inline constexpr size_t kMaxAnswer = 32UL << 20;
inline constexpr size_t kMaxContainers = 10'000;

/// In the order in which they are trusted: what the first knows is not asked of the next.
enum class Rank { kCri, kPodman, kDocker, kContainerd, kOci, kKubernetes };

/// Someone who knows containers. Each has threads of its own, so its calls may block, up to the deadline it was made
/// with; list and look_up come from one thread, follow from another. Calls may throw: the thread takes it.
class Source {
 public:
  Source(std::string name, std::string endpoint) : name_(std::move(name)), endpoint_(std::move(endpoint)) {}
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Where it is asked: a socket, a URL, a directory.
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] virtual Rank rank() const = 0;

  /// All containers.
  virtual SourceState list(std::vector<Container>& found) = 0;
  /// One, or more where that is as easy.
  virtual SourceState look_up(const Ask& ask, std::vector<Container>& found) = 0;

  struct Watcher {
    /// What happens is told from now on.
    std::function<void()> connected;
    /// Something happened to a container; with what the news itself tells.
    std::function<void(const Container&)> changed;
  };
  /// Tells what happens until that cannot be had any more. Untried: it cannot be followed at all.
  virtual SourceState follow(const Watcher&) { return {}; }
  /// How often to list again where it cannot be followed.
  [[nodiscard]] virtual std::chrono::milliseconds relist_every() const { return std::chrono::minutes(1); }

 private:
  std::string name_;
  std::string endpoint_;
};

}  // namespace snoop::metadata
