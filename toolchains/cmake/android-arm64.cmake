# ARM64 Android by the NDK (bionic), whose programs can load the phone's own libraries.
# By hand: ANDROID_NDK_HOME=... cmake --toolchain toolchains/cmake/android-arm64.cmake -S agent/native -B build
foreach(name ANDROID_NDK_HOME ANDROID_NDK_ROOT)
  if(NOT EDGEFLOW_NDK AND DEFINED ENV{${name}})
    set(EDGEFLOW_NDK $ENV{${name}} CACHE PATH "The Android NDK")
  endif()
endforeach()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EDGEFLOW_NDK ANDROID_STL)
if(NOT EXISTS ${EDGEFLOW_NDK}/build/cmake/android.toolchain.cmake)
  message(FATAL_ERROR "no Android NDK: set ANDROID_NDK_HOME to its folder")
endif()
set(ANDROID_ABI arm64-v8a)
set(ANDROID_PLATFORM android-26)  # Android 8; the first whose linker takes what today's NDK writes
if(NOT ANDROID_STL)
  set(ANDROID_STL c++_static)     # nothing lies beside the program
endif()
set(ANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES ON)  # pages of 16 KiB
include(${EDGEFLOW_NDK}/build/cmake/android.toolchain.cmake)
