# x86-64 Android without an NDK: static programs of Linux, which its kernel runs from `adb shell`. They cannot load
# the phone's own libraries (GPU, NPU): that takes the NDK.
include(${CMAKE_CURRENT_LIST_DIR}/linux-x86_64.cmake)
