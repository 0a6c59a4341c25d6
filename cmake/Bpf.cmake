# SPDX-License-Identifier: Apache-2.0
# The kernel side: BPF object and skeleton for this architecture, and the object
# alone for the other one, so that both always compile.
find_program(SNOOP_CLANG NAMES clang REQUIRED)
find_program(SNOOP_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(SNOOP_BPF_ARCH x86)
  set(SNOOP_BPF_OTHER_ARCH arm64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(SNOOP_BPF_ARCH arm64)
  set(SNOOP_BPF_OTHER_ARCH x86)
else()
  message(FATAL_ERROR "snoop knows x86_64 and arm64, not ${CMAKE_SYSTEM_PROCESSOR}")
endif()

set(SNOOP_SKELETON_DIR ${CMAKE_CURRENT_BINARY_DIR}/bpf)
file(MAKE_DIRECTORY ${SNOOP_SKELETON_DIR})

# The kernel's own headers, for its interface types only.
set(SNOOP_BPF_FLAGS -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter
  -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -I${CMAKE_CURRENT_SOURCE_DIR}/bpf)

# snoop_bpf_object(SOURCE x86 OBJECT [DEFINITION...])
function(snoop_bpf_object source arch object)
  list(TRANSFORM ARGN PREPEND -D OUTPUT_VARIABLE definitions)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${SNOOP_CLANG} ${SNOOP_BPF_FLAGS} -D__TARGET_ARCH_${arch} ${definitions} -MD -MF ${object}.d -MT ${object}
            -c ${CMAKE_CURRENT_SOURCE_DIR}/bpf/${source}.bpf.c -o ${object}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bpf/${source}.bpf.c
    DEPFILE ${object}.d
    COMMENT "Building the BPF object ${source} for ${arch} ${ARGN}"
    VERBATIM)
endfunction()

# snoop_bpf_skeleton(NAME SOURCE [DEFINITION...]): NAME.skel.h, for this architecture, and
# the object for the other one.
set(SNOOP_BPF_OUTPUTS)
function(snoop_bpf_skeleton name source)
  set(other ${SNOOP_SKELETON_DIR}/${name}.${SNOOP_BPF_OTHER_ARCH}.bpf.o)
  snoop_bpf_object(${source} ${SNOOP_BPF_ARCH} ${SNOOP_SKELETON_DIR}/${name}.bpf.o ${ARGN})
  snoop_bpf_object(${source} ${SNOOP_BPF_OTHER_ARCH} ${other} ${ARGN})
  add_custom_command(
    OUTPUT ${SNOOP_SKELETON_DIR}/${name}.skel.h
    COMMAND ${SNOOP_BPFTOOL} gen object ${name}.o ${name}.bpf.o
    COMMAND sh -c "'${SNOOP_BPFTOOL}' gen skeleton ${name}.o name ${name} > ${name}.skel.h.new && mv ${name}.skel.h.new ${name}.skel.h"
    WORKING_DIRECTORY ${SNOOP_SKELETON_DIR}
    DEPENDS ${SNOOP_SKELETON_DIR}/${name}.bpf.o
    COMMENT "Generating the skeleton ${name}"
    VERBATIM)
  set(SNOOP_BPF_OUTPUTS ${SNOOP_BPF_OUTPUTS} ${SNOOP_SKELETON_DIR}/${name}.skel.h ${other} PARENT_SCOPE)
endfunction()

# bpf/read.bpf.h tells why there are two of the first.
snoop_bpf_skeleton(snoop_bpf snoop SNOOP_TYPED_READS)
snoop_bpf_skeleton(snoop_plain_bpf snoop)
snoop_bpf_skeleton(preempt_bpf preempt)
add_custom_target(snoop_bpf ALL DEPENDS ${SNOOP_BPF_OUTPUTS})
