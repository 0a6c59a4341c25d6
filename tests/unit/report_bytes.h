// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "output/report.h"
#include "output/report_reader.h"

namespace snoop {

/// What `write` puts into a stream.
template <typename Write>
std::string written(Write write) {
  char* data = nullptr;
  size_t size = 0;
  std::FILE* stream = ::open_memstream(&data, &size);
  write(stream);
  std::fclose(stream);
  std::string bytes(data, size);
  std::free(data);
  return bytes;
}

inline std::string bytes_of(const ReportHeader& header, const std::vector<Container>& containers) {
  return written([&](std::FILE* stream) { write_report(stream, header, containers); });
}

inline Result<ReportContents> read_bytes(std::string bytes) {
  // fmemopen takes no empty buffer.
  std::FILE* stream = bytes.empty() ? std::fopen("/dev/null", "r") : ::fmemopen(bytes.data(), bytes.size(), "r");
  Result<ReportContents> contents = read_report(stream);
  std::fclose(stream);
  return contents;
}

}  // namespace snoop
