// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "event.h"

namespace snoop {

/// One kind of access, as in snoop_event.seen.
constexpr uint64_t seen(snoop_kind kind, snoop_outcome outcome = SNOOP_OUTCOME_OK) {
  return (1ULL << kind) << SNOOP_SEEN_SHIFT(outcome);
}

}  // namespace snoop
