# 32-bit ARM Linux with hard floats and NEON (Raspberry Pi 2 and newer): static programs.
# By hand: cmake --toolchain toolchains/cmake/linux-armv7.cmake -S agent/native -B build
# EDGEFLOW_CC and EDGEFLOW_CXX name another compiler than Debian's, such as wrappers around zig.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(EDGEFLOW_CC arm-linux-gnueabihf-gcc CACHE STRING "C compiler for the target")
set(EDGEFLOW_CXX arm-linux-gnueabihf-g++ CACHE STRING "C++ compiler for the target")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGEFLOW_CC EDGEFLOW_CXX)
set(CMAKE_C_COMPILER ${EDGEFLOW_CC})
set(CMAKE_CXX_COMPILER ${EDGEFLOW_CXX})
set(CMAKE_C_FLAGS_INIT "-march=armv7-a -mfpu=neon -mfloat-abi=hard")
set(CMAKE_CXX_FLAGS_INIT "-march=armv7-a -mfpu=neon -mfloat-abi=hard")
# Programs that run while building are this machine's; the rest is found where the caller says.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
