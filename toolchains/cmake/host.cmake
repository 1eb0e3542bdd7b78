# This machine, by its own compiler or the one that EDGEFLOW_CC and EDGEFLOW_CXX name.
# By hand: cmake --toolchain toolchains/cmake/host.cmake -S agent/native -B build
if(EDGEFLOW_CC)
  set(CMAKE_C_COMPILER ${EDGEFLOW_CC})
endif()
if(EDGEFLOW_CXX)
  set(CMAKE_CXX_COMPILER ${EDGEFLOW_CXX})
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGEFLOW_CC EDGEFLOW_CXX)
