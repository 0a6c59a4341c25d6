// SPDX-License-Identifier: Apache-2.0
// A container's config.json: labels and commands in it are the user's.
#include "metadata/oci_config.h"

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::optional<snoop::metadata::OciConfig> config =
      snoop::metadata::parse_oci_config(snoop::text_of(data, size));
  if (config) {
    snoop::metadata::Container container;
    config->fill(container);
    container.limit();
  }
  return 0;
}
