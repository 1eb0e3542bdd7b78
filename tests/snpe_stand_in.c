/* A stand-in for libSNPE.so, of the entry points that the worker calls: no part of Qualcomm's, and no promise that theirs
   behaves alike. Its "network" takes x[1,2,3] and y[3], and gives double[1,2,3] = 2 * x and sum[1] of y. A .dlc for it
   begins with "STAND-IN". It has the runtimes cpu and dsp; dsp fails to build. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { size_t rank, axes[4]; } Shape;
typedef struct { float* memory; size_t bytes; } Buffer;
typedef struct { const char* names[2]; Buffer* buffers[2]; size_t count; } Map;
typedef struct { const char* names[2]; size_t count; } List;
typedef struct { int runtime, profile, user_buffers; } Builder;

static const char* words = "";
static Builder builder = {-1, -1, 0};
static const Shape shapes[] = {{3, {1, 2, 3}}, {1, {3}}, {3, {1, 2, 3}}, {1, {1}}};
static const char* const tensors[] = {"x", "y", "double", "sum"};

const char* Snpe_ErrorCode_GetLastErrorString(void) { return words; }
void* Snpe_Util_GetLibraryVersion(void) { return &builder; }
const char* Snpe_DlVersion_ToString(void* version) { return version ? "0.0.0-stand-in" : ""; }
int Snpe_Util_IsRuntimeAvailable(int runtime) { return runtime != 1; }
void* Snpe_DlContainer_Open(const char* path) {
  char start[8] = {0};
  FILE* file = fopen(path, "rb");
  size_t got = file ? fread(start, 1, sizeof start, file) : 0;
  if (file) fclose(file);
  words = "error_code=100; the container\nis no archive";
  return got == 8 && memcmp(start, "STAND-IN", 8) == 0 ? &builder : NULL;
}
void* Snpe_SNPEBuilder_Create(void* container) { return container; }
void* Snpe_RuntimeList_Create(void) { return calloc(1, sizeof(int)); }
int Snpe_RuntimeList_Add(void* list, int runtime) { *(int*)list = runtime; return 0; }
int Snpe_SNPEBuilder_SetRuntimeProcessorOrder(void* at, void* list) { ((Builder*)at)->runtime = *(int*)list; return 0; }
int Snpe_SNPEBuilder_SetPerformanceProfile(void* at, int profile) {
  ((Builder*)at)->profile = profile;
  printf("stand-in: profile %d\n", profile);
  printf("stand-in: adsp %s\n", getenv("ADSP_LIBRARY_PATH") ? getenv("ADSP_LIBRARY_PATH") : "");
  words = "error_code=400; no such profile";
  return profile == 9;
}
int Snpe_SNPEBuilder_SetUseUserSuppliedBuffers(void* at, int on) { ((Builder*)at)->user_buffers = on; return 0; }
void* Snpe_SNPEBuilder_Build(void* at) {
  words = "error_code=500; the DSP is asleep";
  return ((Builder*)at)->runtime == 0 && ((Builder*)at)->user_buffers ? at : NULL;
}
void* Snpe_SNPE_GetInputTensorNames(void* network) { static List list = {{"x", "y"}, 2}; return network ? &list : NULL; }
void* Snpe_SNPE_GetOutputTensorNames(void* network) { static List list = {{"double", "sum"}, 2}; return network ? &list : NULL; }
size_t Snpe_StringList_Size(void* list) { return ((List*)list)->count; }
const char* Snpe_StringList_At(void* list, size_t index) { return ((List*)list)->names[index]; }
void* Snpe_SNPE_GetInputOutputBufferAttributes(void* network, const char* name) {
  for (int i = 0; network && i < 4; ++i) {
    if (strcmp(name, tensors[i]) == 0) return (void*)&shapes[i];
  }
  return NULL;
}
void* Snpe_IBufferAttributes_GetDims(void* attributes) { return attributes; }
void* Snpe_TensorShape_CreateDimsSize(const size_t* axes, size_t count) {
  Shape* shape = calloc(1, sizeof *shape);
  shape->rank = count;
  memcpy(shape->axes, axes, count * sizeof *axes);
  return shape;
}
size_t Snpe_TensorShape_Rank(void* shape) { return ((Shape*)shape)->rank; }
const size_t* Snpe_TensorShape_GetDimensions(void* shape) { return ((Shape*)shape)->axes; }
void* Snpe_UserBufferEncodingFloat_Create(void) { return &builder; }
void* Snpe_Util_CreateUserBuffer(void* memory, size_t bytes, void* strides, void* encoding) {
  Shape* shape = strides;
  words = "error_code=600; the strides are not those of dense floats";
  if (!encoding || shape->axes[shape->rank - 1] != sizeof(float)) return NULL;
  if (shape->rank == 3 && (shape->axes[0] != 24 || shape->axes[1] != 12)) return NULL;
  Buffer* buffer = malloc(sizeof *buffer);
  buffer->memory = memory;
  buffer->bytes = bytes;
  return buffer;
}
void* Snpe_UserBufferMap_Create(void) { return calloc(1, sizeof(Map)); }
int Snpe_UserBufferMap_Add(void* at, const char* name, void* buffer) {
  Map* map = at;
  map->names[map->count] = strdup(name);
  map->buffers[map->count++] = buffer;
  return 0;
}
static Buffer* find(Map* map, const char* name) {
  for (size_t i = 0; i < map->count; ++i) {
    if (strcmp(map->names[i], name) == 0) return map->buffers[i];
  }
  return NULL;
}
int Snpe_SNPE_ExecuteUserBuffers(void* network, void* inputs, void* outputs) {
  Buffer *x = find(inputs, "x"), *y = find(inputs, "y"), *twice = find(outputs, "double"), *sum = find(outputs, "sum");
  words = "error_code=700; an input is negative";
  if (!network || x->bytes != twice->bytes || x->memory[0] < 0) return 1;
  for (size_t i = 0; i < x->bytes / sizeof(float); ++i) twice->memory[i] = 2 * x->memory[i];
  sum->memory[0] = y->memory[0] + y->memory[1] + y->memory[2];
  return 0;
}
