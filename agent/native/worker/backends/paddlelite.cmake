# Paddle Lite's C++ interface in a library of its own beside the worker, which loads it (paddlelite_bridge.h).
#   EDGEFLOW_RUNTIME_LIBRARY  the library of the wheel, or of a release archive
#   EDGEFLOW_RUNTIME_HEADERS  the archive's folder with paddle_api.h; empty for the wheel, which has none
set(EDGEFLOW_RUNTIME_LIBRARY "" CACHE FILEPATH "Paddle Lite's library")
set(EDGEFLOW_RUNTIME_HEADERS "" CACHE PATH "the folder of paddle_api.h")
if(NOT EXISTS "${EDGEFLOW_RUNTIME_LIBRARY}")
  message(FATAL_ERROR "EDGEFLOW_RUNTIME_LIBRARY: name Paddle Lite's library")
endif()
target_sources(worker PRIVATE backends/paddlelite_model.cc)
add_library(edgeflow-paddlelite MODULE backends/paddlelite_bridge.cc backends/paddlelite_python.cc)
target_link_libraries(edgeflow-paddlelite PRIVATE edgeflow_options)
set_target_properties(edgeflow-paddlelite PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY ${site} OUTPUT_NAME edgeflow-paddlelite INTERPROCEDURAL_OPTIMIZATION OFF)
if(EDGEFLOW_RUNTIME_HEADERS)
  target_include_directories(edgeflow-paddlelite SYSTEM PRIVATE ${EDGEFLOW_RUNTIME_HEADERS})
  target_compile_definitions(edgeflow-paddlelite PRIVATE EDGEFLOW_PADDLELITE_HEADERS)
endif()
get_filename_component(library_folder ${EDGEFLOW_RUNTIME_LIBRARY} DIRECTORY)
get_filename_component(library_name ${EDGEFLOW_RUNTIME_LIBRARY} NAME)
# Functions of Python, which the wheel's library names, are looked up when they are called: never.
target_link_options(edgeflow-paddlelite PRIVATE -L${library_folder} -Wl,-z,lazy -Wl,--no-undefined -Wl,--allow-shlib-undefined)
target_link_libraries(edgeflow-paddlelite PRIVATE "-l:${library_name}")
add_dependencies(worker edgeflow-paddlelite)
