// SPDX-License-Identifier: Apache-2.0
// Runs the inputs of a directory, and variations of them for a second. Not guided by what
// they reach, as libFuzzer is; but it needs no other compiler, and finds again what was
// found. The seed is fixed, so that a failure comes again.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz.h"

namespace {

void run(const std::string& input) {
  // A copy of its own size, so that a read behind its end is seen.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::string varied(std::string input, const std::vector<std::string>& others, std::mt19937_64& random) {
  const auto below = [&](size_t bound) { return bound == 0 ? 0 : random() % bound; };
  for (size_t changes = 1 + below(4); changes > 0; changes--) {
    const size_t at = below(input.size());
    switch (below(6)) {
      case 0:
        input.insert(at, 1, static_cast<char>(random()));
        break;
      case 1:
        input.erase(at, 1 + below(8));
        break;
      case 2:
        input.insert(at, input.substr(below(input.size()), 1 + below(32)));
        break;
      case 3: {
        const std::string& other = others[below(others.size())];
        input.replace(at, below(64), other.substr(below(other.size()), below(64)));
        break;
      }
      default:
        if (!input.empty()) {
          constexpr std::string_view kTelling("\0\xff\x7f\x80/\\\"{}[]:,-\n9", 16);
          input[at] = below(2) == 0 ? kTelling[below(kTelling.size())] : static_cast<char>(random());
        }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> inputs = {""};
  for (int i = 1; i < argc; i++) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  std::mt19937_64 random(1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  size_t runs = 0;
  for (const std::string& input : inputs) {
    run(input);
    runs++;
  }
  while (std::chrono::steady_clock::now() < end) {
    run(varied(inputs[random() % inputs.size()], inputs, random));
    runs++;
  }
  std::printf("%zu inputs, %zu runs\n", inputs.size(), runs);
  return inputs.size() > 1 ? 0 : 1;
}
