#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
# The guest's first process: mounts what a machine has, cgroups as cg= says, runs the tests, and powers off.
export PATH=/usr/bin HOME=/root LC_ALL=C.UTF-8

if [ "$1" != again ]; then
  # The root file system is one of a disk, as usual: with all kinds of attributes, and a place for pivot_root.
  mkdir /newroot
  mount -t devtmpfs devtmpfs /dev
  insmod /modules/loop.ko
  truncate -s 1G /disk
  mke2fs -F /disk >/dev/null
  mount -t ext4 -o loop /disk /newroot
  umount /dev
  for name in bin sbin lib lib64 usr etc proc sys dev tmp root var modules snoop init run.sh; do
    cp -a /$name /newroot/
  done
  chmod 1777 /newroot/tmp
  exec switch_root /newroot /init again
fi

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
insmod /modules/overlay.ko
ip link set lo up

layout=
# shellcheck disable=SC2013  # words
for word in $(cat /proc/cmdline); do
  case $word in cg=*) layout=${word#cg=} ;; esac
done
top=/sys/fs/cgroup
if [ "$layout" = v2 ]; then
  mount -t cgroup2 cgroup2 $top
else
  mount -t tmpfs -o mode=755 tmpfs $top
  awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups | while read -r controller; do
    mkdir $top/"$controller"
    mount -t cgroup -o "$controller" cgroup $top/"$controller" || rmdir $top/"$controller"
  done
  mkdir $top/systemd
  mount -t cgroup -o none,name=systemd cgroup $top/systemd
  if [ "$layout" = hybrid ]; then
    mkdir $top/unified
    mount -t cgroup2 cgroup2 $top/unified
  fi
fi 2>/dev/null

cd /snoop || exit 1
sh /run.sh
echo "@end $?"
sync
poweroff -f
