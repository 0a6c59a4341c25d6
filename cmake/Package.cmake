# SPDX-License-Identifier: Apache-2.0
# The Debian package: `make package`, which configures with SNOOP_DEBIAN and the prefix /usr.
if(NOT SNOOP_DEBIAN)
  return()
endif()
set(debian ${CMAKE_CURRENT_SOURCE_DIR}/packaging/debian)
configure_file(${debian}/conffiles.in conffiles @ONLY)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME snoop)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The snoop maintainers <maintainers@users.noreply.b-seed-4ea5c7be.example>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
# Some files go below /etc, not below the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# snoop-show-report.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "python3:any")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "reports which files of container images are really used")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "snoop watches the cgroups of a machine or a pod with eBPF, and records each
file that their processes ask for: what was opened, started, asked about or
changed, and whether it was there. What was lost is counted by cause and
stands in the report.

The service records every container of the machine. It is not started by the
installation: systemctl enable --now snoop")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${debian}/postinst ${debian}/prerm ${debian}/postrm ${CMAKE_CURRENT_BINARY_DIR}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
include(CPack)
