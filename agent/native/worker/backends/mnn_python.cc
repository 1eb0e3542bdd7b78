// Data of Python that MNN's library names. Nothing reads it: the part of the library that would is never called.
#define EDGEFLOW_DATA_OF_PYTHON(name) \
  extern __attribute__((visibility("default"))) char name[1024]; \
  char name[1024] = {}

extern "C" {
EDGEFLOW_DATA_OF_PYTHON(PyCapsule_Type);
EDGEFLOW_DATA_OF_PYTHON(PyEllipsis_Type);
EDGEFLOW_DATA_OF_PYTHON(PyExc_Exception);
EDGEFLOW_DATA_OF_PYTHON(PyExc_ModuleNotFoundError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_RuntimeError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_TypeError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_ValueError);
EDGEFLOW_DATA_OF_PYTHON(PyFloat_Type);
EDGEFLOW_DATA_OF_PYTHON(PySlice_Type);
EDGEFLOW_DATA_OF_PYTHON(_Py_FalseStruct);
EDGEFLOW_DATA_OF_PYTHON(_Py_NoneStruct);
EDGEFLOW_DATA_OF_PYTHON(_Py_TrueStruct);
}
