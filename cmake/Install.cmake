# SPDX-License-Identifier: Apache-2.0
# What `make install` and the package put where. Files that name other installed files get the prefix of the configuration.
install(TARGETS snoop RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS snoop_metadata RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/snoop)
install(PROGRAMS scripts/find-cgroup.sh DESTINATION ${CMAKE_INSTALL_BINDIR} RENAME snoop-find-cgroup)
install(PROGRAMS scripts/show-report.py DESTINATION ${CMAKE_INSTALL_BINDIR} RENAME snoop-show-report)
install(FILES docs/report.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/snoop)
install(FILES README.md QUICKSTART.md docs/operations.md docs/report-format.md docs/security.md
  docs/privileges.md docs/metrics.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# A full path where the prefix is /usr: then it is /etc.
install(FILES packaging/snoop.toml DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/snoop)
configure_file(packaging/snoop.service.in snoop.service @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/snoop.service DESTINATION lib/systemd/system)

install(FILES packaging/completions/snoop.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME snoop)
install(FILES packaging/completions/_snoop DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES packaging/completions/snoop.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

# Compressed, the same bytes each time.
add_custom_target(installed_files ALL)
function(install_compressed source name directory)
  set(compressed ${CMAKE_CURRENT_BINARY_DIR}/${name}.gz)
  add_custom_command(OUTPUT ${compressed} COMMAND sh -c [[gzip -9nc "$0" >"$1"]] ${source} ${compressed} DEPENDS ${source} VERBATIM)
  add_custom_target(compress_${name} DEPENDS ${compressed})
  add_dependencies(installed_files compress_${name})
  install(FILES ${compressed} DESTINATION ${directory})
endfunction()
install_compressed(${CMAKE_CURRENT_SOURCE_DIR}/docs/snoop.1 snoop.1 ${CMAKE_INSTALL_MANDIR}/man1)
# The page tells of them, too.
foreach(program snoop-find-cgroup snoop-show-report)
  file(CREATE_LINK snoop.1.gz ${CMAKE_CURRENT_BINARY_DIR}/${program}.1.gz SYMBOLIC)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${program}.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endforeach()

if(NOT SNOOP_DEBIAN)
  install(FILES LICENSE LICENSES/GPL-2.0-only.txt DESTINATION ${CMAKE_INSTALL_DOCDIR})
  return()
endif()
# Debian has the texts of the licences, and wants changelogs of these names.
install(FILES packaging/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES packaging/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME snoop)
install_compressed(${CMAKE_CURRENT_SOURCE_DIR}/CHANGELOG.md changelog ${CMAKE_INSTALL_DOCDIR})
string(TIMESTAMP SNOOP_PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(packaging/debian/changelog.in changelog.Debian @ONLY)
install_compressed(${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian changelog.Debian ${CMAKE_INSTALL_DOCDIR})
