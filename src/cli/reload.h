// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/unique_fd.h"
#include "cli/options.h"
#include "pipeline/recorder.h"

namespace snoop {

/// Reads the environment's and the file's settings again, and takes over those that
/// can be changed while snoop runs; says which did and which cannot. Where they
/// are wrong, all stays as it is. true: something that was left out no longer is.
[[nodiscard]] bool reload(Options& options, Recorder& recorder);

/// The terminal that snoop was started from, if it was.
class ControllingTerminal {
 public:
  ControllingTerminal();
  /// There was one, and it is gone: the meaning of SIGHUP before services had any.
  [[nodiscard]] bool has_hung_up() const;

 private:
  UniqueFd fd_;
};

}  // namespace snoop
