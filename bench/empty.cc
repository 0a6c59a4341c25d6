// SPDX-License-Identifier: Apache-2.0
// Attaches the program that does nothing, says so, and stays until its input ends.
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: empty OBJECT\n");
    return 2;
  }
  bpf_object* object = bpf_object__open_file(argv[1], nullptr);
  if (object == nullptr || bpf_object__load(object) != 0) {
    std::perror("empty: load");
    return 1;
  }
  bpf_link* link = bpf_program__attach(bpf_object__next_program(object, nullptr));
  if (link == nullptr) {
    std::perror("empty: attach");
    return 1;
  }
  std::puts("attached");
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  bpf_link__destroy(link);
  bpf_object__close(object);
  return 0;
}
