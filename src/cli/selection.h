// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "pipeline/recorder.h"

namespace snoop {

/// Which of all containers are asked for: --container, --pod, --namespace, --label. Of each kind of option one must
/// fit, of labels all.
class Selection {
 public:
  explicit Selection(const Options& options) : options_(options) {}

  enum class Verdict { kYes, kNo, kUnknown };
  /// kUnknown: who would know what it is called has not answered for it.
  [[nodiscard]] Verdict judge(const Container& container) const;

  /// What of that which was asked for none of these fits, in words.
  [[nodiscard]] std::vector<std::string> missing(const std::vector<Container>& containers) const;

 private:
  [[nodiscard]] Verdict judge_name(const Container& container) const;

  const Options& options_;
};

}  // namespace snoop
