# SPDX-License-Identifier: Apache-2.0
# snoop-metadata: asks container runtimes who a container is.
pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc++_unsecure)
find_package(Protobuf REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Threads REQUIRED)

# A process of its own, with libraries of its own: docs/decisions/0017-who-a-container-is.md.
add_custom_command(
  OUTPUT generated/messages.pb.cc generated/messages.pb.h
  COMMAND protobuf::protoc --cpp_out=${CMAKE_CURRENT_BINARY_DIR}/generated -I${CMAKE_CURRENT_SOURCE_DIR}/src/metadata
          messages.proto
  DEPENDS src/metadata/messages.proto)
# Generated code is compiled without the warnings that are errors elsewhere.
add_library(snoop_messages STATIC ${CMAKE_CURRENT_BINARY_DIR}/generated/messages.pb.cc)
target_compile_options(snoop_messages PRIVATE -w)
target_include_directories(snoop_messages SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR}/generated)
target_link_libraries(snoop_messages PUBLIC protobuf::libprotobuf-lite)
set(metadata_sources connection.cc container.cc docker.cc grpc_client.cc grpc_sources.cc host.cc http_client.cc hub.cc json.cc
    kubernetes.cc lines.cc oci_config.cc oci_source.cc options.cc store.cc worker.cc)
list(TRANSFORM metadata_sources PREPEND src/metadata/)
add_library(snoop_metadata_parts STATIC ${metadata_sources})
target_include_directories(snoop_metadata_parts SYSTEM PUBLIC ${RAPIDJSON_INCLUDE_DIR} ${Boost_INCLUDE_DIRS})
target_link_libraries(snoop_metadata_parts PUBLIC snoop_container snoop_messages PkgConfig::GRPC OpenSSL::SSL
                      CLI11::CLI11 Threads::Threads)
add_executable(snoop_metadata src/metadata/main.cc)
target_link_libraries(snoop_metadata PRIVATE snoop_metadata_parts PkgConfig::LIBCAP)
set_target_properties(snoop_metadata PROPERTIES OUTPUT_NAME snoop-metadata
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
