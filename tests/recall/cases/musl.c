/* SPDX-License-Identifier: Apache-2.0 */
/* Built with musl where it is there: open, stat and access are other calls in it. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct stat info;
  return argc == 2 && open(argv[1], O_RDONLY) >= 0 && stat(argv[1], &info) == 0 && access(argv[1], R_OK) == 0 ? 0 : 1;
}
