/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every recall program shares. A program holds cases; each is run as
 *   PROGRAM CASE prepare|run DIRECTORY
 * with DIRECTORY, an empty one of its own, as working directory. `run` happens
 * in the watched cgroup. What it truly used it tells on stdout when it ends, a
 * line for each: USED KIND OUTCOME PATH [RESOLVED], or MAY KIND OUTCOME PATH for
 * what a report may name and need not. Bytes that do not print are %XX.
 */
#ifndef SNOOP_RECALL_H
#define SNOOP_RECALL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* When the process is put into its cgroup. */
enum recall_when {
  RECALL_NEW,    /* it begins there, watched */
  RECALL_BEFORE, /* it is there before snoop starts; meet() waits for snoop */
  RECALL_MOVED,  /* meet() waits until it has been moved there, watched */
};

struct recall_case {
  const char* name;
  void (*run)(void);
  void (*prepare)(void); /* may be NULL */
  enum recall_when when;
};

/* The program's cases, ended by one without a name. */
extern const struct recall_case recall_cases[];

/*
 * The call with this result used `name`, with success: the case fails if it did
 * not succeed. Names are absolute, or below the case's directory. Returns the result.
 */
long did(const char* kind, long result, const char* name);
/* The same, and it led to `resolved`. */
long led(const char* kind, long result, const char* name, const char* resolved);
/* The call failed with this errno; what outcome that is, is known. */
void failed(const char* kind, int error, long result, const char* name);
/* The call walked a symbolic link. */
void walked(const char* name);
/* `outcome` may be "any". */
void used(const char* kind, const char* outcome, const char* name);
void may(const char* kind, const char* outcome, const char* name);

/* Ends the case as failed unless the result is 0 or more. Returns it. */
long must(long result, const char* what);
/* Ends the case: it cannot run here. */
void skip(const char* reason) __attribute__((noreturn));
/* Runs it in a child, which must exit with 0. */
void in_child(void (*body)(void));
/* Waits for the child, which must exit with `status`. */
void wait_for(long pid, int status);
void meet(void);

/* For prepare: they end the program if they fail. */
void make_file(const char* name);
void make_text(const char* name, const char* text, mode_t mode);
void make_directory(const char* name);
void make_link(const char* text, const char* name);
/* A copy of a program of the recall tests, such as "tiny". */
void copy_program(const char* program, const char* name);

/* Absolute, below the case's directory; kept until the program ends. */
const char* path_of(const char* name);

#endif
