/* SPDX-License-Identifier: Apache-2.0 */
/* Symbolic links: each that is walked is used, and `..` goes where the kernel goes. */
#include <sched.h>
#include <sys/mount.h>

#include "recall.h"

static struct stat info;

/* real/dir/file, real/beside; dirlink -> real/dir */
static void tree(void) {
  make_directory("real");
  make_directory("real/dir");
  make_file("real/dir/file");
  make_file("real/beside");
  make_file("beside");
  make_link("real/dir", "dirlink");
}

static void to_file(void) {
  make_file("file");
  make_link("file", "link");
}

static void relative_link(void) {
  led("open", open("link", O_RDONLY), "link", "file");
  walked("link");
}

static void absolute_link_file(void) {
  make_file("file");
  make_link(path_of("file"), "link");
}

static void middle(void) {
  led("open", open("dirlink/file", O_RDONLY), "dirlink/file", "real/dir/file");
  walked("dirlink");
}

static void link_in_linked_directory_tree(void) {
  tree();
  make_link("file", "real/dir/link");
}

static void link_in_linked_directory(void) {
  led("open", open("dirlink/link", O_RDONLY), "dirlink/link", "real/dir/file");
  walked("dirlink");
  walked("real/dir/link");
}

static void chain_files(void) {
  char name[16], text[16];
  make_file("l0");
  for (int i = 1; i <= 41; i++) {
    snprintf(name, sizeof(name), "l%d", i);
    snprintf(text, sizeof(text), "l%d", i - 1);
    make_link(text, name);
  }
}

static void chain(void) {
  char name[16];
  led("open", open("l40", O_RDONLY), "l40", "l0");
  for (int i = 1; i <= 40; i++) {
    snprintf(name, sizeof(name), "l%d", i);
    walked(name);
  }
}

/* One more than the kernel follows. Which links then count is a matter of taste. */
static void chain_too_long(void) {
  char name[16];
  if (open("l41", O_RDONLY) >= 0 || errno != ELOOP) must(-1, "l41");
  walked("l41"); /* which hides the open in its entry */
  may("open", "other", "l41");
  for (int i = 1; i <= 41; i++) {
    snprintf(name, sizeof(name), "l%d", i);
    may("symlink", "any", name);
  }
}

static void loop_links(void) {
  make_link("b", "a");
  make_link("a", "b");
}

static void loop(void) {
  if (open("a", O_RDONLY) >= 0 || errno != ELOOP) must(-1, "a");
  walked("a");
  may("open", "other", "a");
  may("symlink", "any", "b");
}

static void dangling_link(void) { make_link("nowhere", "link"); }

static void dangling(void) {
  /* The link is there and was walked; what it names is not. */
  if (open("link", O_RDONLY) >= 0 || errno != ENOENT) must(-1, "link");
  walked("link");
  may("open", "missing", "link");
  may("open", "missing", "nowhere");
}

static void parent_of_link(void) {
  led("open", open("dirlink/../beside", O_RDONLY), "real/beside", "real/beside");
  walked("dirlink");
}

static void parent_of_link_stat(void) {
  did("stat", stat("dirlink/../beside", &info), "real/beside");
  walked("dirlink");
}

static void parent_of_link_missing(void) {
  failed("open", ENOENT, open("dirlink/../none", O_RDONLY), "real/none");
  walked("dirlink");
}

static void asked(void) {
  led("stat", stat("link", &info), "link", "file");
  led("access", access("second", R_OK), "second", "file");
  walked("link");
  walked("second");
}

static void asked_files(void) {
  make_file("file");
  make_link("file", "link");
  make_link("file", "second");
}

static void asked_in_the_middle(void) {
  char text[64];
  did("stat", stat("dirlink/file", &info), "dirlink/file");
  did("readlink", readlink("dirlink/link", text, sizeof(text)), "dirlink/link");
  walked("dirlink");
}

static void not_followed(void) {
  char text[64];
  did("stat", lstat("link", &info), "link");
  did("readlink", readlink("link", text, sizeof(text)), "link");
  did("open", open("link", O_PATH | O_NOFOLLOW), "link");
  failed("open", ELOOP, open("second", O_RDONLY | O_NOFOLLOW), "second");
}

static void chdir_through(void) {
  did("stat", chdir("dirlink"), "dirlink");
  walked("dirlink");
  did("open", open("file", O_RDONLY), "real/dir/file");
  did("open", open("../beside", O_RDONLY), "real/beside");
}

static void exec_tree(void) {
  copy_program("tiny", "prog");
  make_link("prog", "link");
}

static void exec_through(void) {
  const pid_t pid = vfork();
  if (pid == 0) {
    execl("link", "link", (char*)NULL);
    _exit(99);
  }
  wait_for(must(pid, "vfork"), 0);
  led("exec", 0, "link", "prog");
  walked("link");
}

static void trailing_slash(void) {
  led("open", open("dirlink/", O_RDONLY), "dirlink", "real/dir");
  walked("dirlink");
}

static void change_through(void) {
  did("change", chmod("link", 0600), "link");
  walked("link");
  did("change", unlink("dirlink/file"), "dirlink/file");
  walked("dirlink");
}

static void change_tree(void) {
  tree();
  make_file("file");
  make_link("file", "link");
}

static void create_through(void) {
  /* A dangling link can be made whole by opening it. */
  led("open", open("link", O_WRONLY | O_CREAT, 0644), "link", "nowhere");
  walked("link");
}

static void alternatives_tree(void) {
  make_directory("bin");
  make_directory("etc");
  make_directory("usr");
  make_file("usr/libfoo.so.1.2.3");
  make_link("libfoo.so.1.2.3", "usr/libfoo.so.1");
  make_link("libfoo.so.1", "usr/libfoo.so");
  make_link("../usr/libfoo.so", "etc/alternative");
  make_link(path_of("etc/alternative"), "bin/foo");
}

static void alternatives(void) {
  led("open", open("bin/foo", O_RDONLY), "bin/foo", "usr/libfoo.so.1.2.3");
  walked("bin/foo");
  walked("etc/alternative");
  walked("usr/libfoo.so");
  walked("usr/libfoo.so.1");
}

static void config_map_tree(void) {
  make_directory("..2026");
  make_file("..2026/settings");
  make_link("..2026", "..data");
  make_link("..data/settings", "settings");
}

static void config_map(void) {
  led("open", open("settings", O_RDONLY), "settings", "..2026/settings");
  walked("settings");
  walked("..data");
}

static void config_map_swapped_tree(void) {
  config_map_tree();
  make_directory("..2027");
  make_file("..2027/settings");
  make_link("..2027", "new");
}

/* As kubelet updates a volume: the same path leads to another file, which then has an entry of its own name. */
static void config_map_swapped(void) {
  config_map();
  did("change", rename("new", "..data"), "new");
  used("change", "ok", "..data");
  must(open("settings", O_RDONLY), "settings");
  used("open", "ok", "..2027/settings");
}

static void middle_missing(void) {
  failed("open", ENOENT, open("dirlink/none", O_RDONLY), "dirlink/none");
  walked("dirlink");
}

/* Whoever looks for the link afterwards does not find it. */
static void removed_after(void) {
  led("open", open("link", O_RDONLY), "link", "file");
  walked("link");
  did("change", unlink("link"), "link");
  led("open", open("dirlink/file", O_RDONLY), "dirlink/file", "real/dir/file");
  walked("dirlink");
  did("change", unlink("dirlink"), "dirlink");
}

/* The links are in a mount namespace that ends with its process. */
static void private_body(void) {
  must(unshare(CLONE_NEWNS), "unshare");
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
  did("change", mount("tmpfs", "real", "tmpfs", 0, NULL), "real");
  did("change", symlink("file", "real/link"), "real/link");
  did("open", open("real/file", O_RDWR | O_CREAT, 0644), "real/file");
  led("open", open("real/link", O_RDONLY), "real/link", "real/file");
  walked("real/link");
}

static void private_mount(void) { in_child(private_body); }

const struct recall_case recall_cases[] = {
    {"link_relative", relative_link, to_file, RECALL_NEW},
    {"link_absolute", relative_link, absolute_link_file, RECALL_NEW},
    {"link_in_the_middle", middle, tree, RECALL_NEW},
    {"link_below_a_link", link_in_linked_directory, link_in_linked_directory_tree, RECALL_NEW},
    {"link_chain_of_40", chain, chain_files, RECALL_NEW},
    {"link_chain_of_41", chain_too_long, chain_files, RECALL_NEW},
    {"link_loop", loop, loop_links, RECALL_NEW},
    {"link_dangling", dangling, dangling_link, RECALL_NEW},
    {"link_dangling_created", create_through, dangling_link, RECALL_NEW},
    {"link_parent_open", parent_of_link, tree, RECALL_NEW},
    {"link_parent_stat", parent_of_link_stat, tree, RECALL_NEW},
    {"link_parent_missing", parent_of_link_missing, tree, RECALL_NEW},
    {"link_asked", asked, asked_files, RECALL_NEW},
    {"link_asked_in_the_middle", asked_in_the_middle, link_in_linked_directory_tree, RECALL_NEW},
    {"link_not_followed", not_followed, asked_files, RECALL_NEW},
    {"link_chdir", chdir_through, tree, RECALL_NEW},
    {"link_exec", exec_through, exec_tree, RECALL_NEW},
    {"link_trailing_slash", trailing_slash, tree, RECALL_NEW},
    {"link_change", change_through, change_tree, RECALL_NEW},
    {"link_alternatives", alternatives, alternatives_tree, RECALL_NEW},
    {"link_config_map", config_map, config_map_tree, RECALL_NEW},
    {"link_config_map_swapped", config_map_swapped, config_map_swapped_tree, RECALL_NEW},
    {"link_in_the_middle_missing", middle_missing, tree, RECALL_NEW},
    {"link_removed_after", removed_after, change_tree, RECALL_NEW},
    {"link_in_private_mount", private_mount, tree, RECALL_NEW},
    {0},
};
