# ARM64 Linux of any distribution: static programs, which also run on Android's kernel.
# By hand: cmake --toolchain toolchains/cmake/linux-aarch64.cmake -S agent/native -B build
# EDGEFLOW_CC and EDGEFLOW_CXX name another compiler than Debian's, such as wrappers around zig.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(EDGEFLOW_CC aarch64-linux-gnu-gcc CACHE STRING "C compiler for the target")
set(EDGEFLOW_CXX aarch64-linux-gnu-g++ CACHE STRING "C++ compiler for the target")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGEFLOW_CC EDGEFLOW_CXX)
set(CMAKE_C_COMPILER ${EDGEFLOW_CC})
set(CMAKE_CXX_COMPILER ${EDGEFLOW_CXX})
# Programs that run while building are this machine's; the rest is found where the caller says.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
