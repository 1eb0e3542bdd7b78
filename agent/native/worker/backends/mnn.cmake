# MNN's library is its Python extension: it has strings of the older ABI, and names data of Python, which this program
# shows it (mnn_python.cc). Functions of Python are looked up when they are called: never.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR "a worker of mnn needs g++: its library passes strings and maps of libstdc++")
endif()
target_compile_definitions(edgeflow_options INTERFACE _GLIBCXX_USE_CXX11_ABI=0)
target_sources(worker PRIVATE backends/mnn_python.cc)
target_link_options(worker PRIVATE -Wl,--dynamic-list=${CMAKE_CURRENT_SOURCE_DIR}/backends/mnn_python.list)
