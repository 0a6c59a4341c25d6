/* SPDX-License-Identifier: Apache-2.0 */
/* As small as a program can be; linked statically. Opens each of its arguments; exits with how many it could not. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int missing = 0;
  for (int i = 1; i < argc; i++) {
    if (open(argv[i], O_RDONLY) < 0) missing++;
  }
  _exit(missing);
}
