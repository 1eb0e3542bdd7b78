// Data of Python that MNN's library names. Nothing reads it: the part of the library that would is never called.
extern "C" {
extern char PyCapsule_Type[1024];
char PyCapsule_Type[1024] = {};
extern char PyEllipsis_Type[1024];
char PyEllipsis_Type[1024] = {};
extern char PyExc_Exception[1024];
char PyExc_Exception[1024] = {};
extern char PyExc_ModuleNotFoundError[1024];
char PyExc_ModuleNotFoundError[1024] = {};
extern char PyExc_RuntimeError[1024];
char PyExc_RuntimeError[1024] = {};
extern char PyExc_TypeError[1024];
char PyExc_TypeError[1024] = {};
extern char PyExc_ValueError[1024];
char PyExc_ValueError[1024] = {};
extern char PyFloat_Type[1024];
char PyFloat_Type[1024] = {};
extern char PySlice_Type[1024];
char PySlice_Type[1024] = {};
extern char _Py_FalseStruct[1024];
char _Py_FalseStruct[1024] = {};
extern char _Py_NoneStruct[1024];
char _Py_NoneStruct[1024] = {};
extern char _Py_TrueStruct[1024];
char _Py_TrueStruct[1024] = {};
}
