// SPDX-License-Identifier: Apache-2.0
// Lines from snoop-metadata, in which containers have their say, and lines to it.
#include "container/metadata_message.h"
#include "fuzz.h"
#include "metadata/lines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line = snoop::text_of(data, size);
  static_cast<void>(snoop::parse_metadata_line(line));
  if (const std::optional<snoop::metadata::Ask> ask = snoop::metadata::parse_ask(line)) {
    // What is asked for can be asked again.
    std::string again = snoop::metadata_question(ask->cgroup, ask->id, ask->pid);
    snoop::expect(again.ends_with('\n') && again.find('\n') == again.size() - 1, "a question is a line");
    again.pop_back();
    const std::optional<snoop::metadata::Ask> same = snoop::metadata::parse_ask(again);
    snoop::expect(same && same->cgroup == ask->cgroup && same->id == ask->id, "a question is understood");
  }
  return 0;
}
