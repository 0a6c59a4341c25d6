// SPDX-License-Identifier: Apache-2.0
#include "pipeline/discovery.h"

#include <algorithm>

namespace snoop {

size_t Discovery::bucket_of(WallTime time) {
  // The difference fits into 64 bits without a sign.
  const uint64_t after_s = time <= from_ ? 0 : (static_cast<uint64_t>(time) - static_cast<uint64_t>(from_)) / kSecond;
  while (after_s / bucket_seconds_ >= kMaxBuckets) {
    for (size_t i = 0; i < new_files_.size(); i += 2) {
      new_files_[i / 2] = new_files_[i] + (i + 1 < new_files_.size() ? new_files_[i + 1] : 0);
    }
    new_files_.resize((new_files_.size() + 1) / 2);
    bucket_seconds_ *= 2;
  }
  const size_t bucket = after_s / bucket_seconds_;
  new_files_.resize(std::max(new_files_.size(), bucket + 1));
  return bucket;
}

}  // namespace snoop
