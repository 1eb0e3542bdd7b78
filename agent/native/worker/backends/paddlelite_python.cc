// Data of Python that the library of Paddle Lite's wheel names. Nothing reads it: the part of the library that would is
// never called. A release archive's library names none of it.
#define EDGEFLOW_DATA_OF_PYTHON(name) \
  extern __attribute__((visibility("default"))) char name[1024]; \
  char name[1024] = {}

extern "C" {
EDGEFLOW_DATA_OF_PYTHON(PyBaseObject_Type);
EDGEFLOW_DATA_OF_PYTHON(PyCFunction_Type);
EDGEFLOW_DATA_OF_PYTHON(PyCapsule_Type);
EDGEFLOW_DATA_OF_PYTHON(PyDict_Type);
EDGEFLOW_DATA_OF_PYTHON(PyExc_BufferError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_ImportError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_IndexError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_MemoryError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_OverflowError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_RuntimeError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_SystemError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_TypeError);
EDGEFLOW_DATA_OF_PYTHON(PyExc_ValueError);
EDGEFLOW_DATA_OF_PYTHON(PyFloat_Type);
EDGEFLOW_DATA_OF_PYTHON(PyInstanceMethod_Type);
EDGEFLOW_DATA_OF_PYTHON(PyModule_Type);
EDGEFLOW_DATA_OF_PYTHON(PyProperty_Type);
EDGEFLOW_DATA_OF_PYTHON(PyType_Type);
EDGEFLOW_DATA_OF_PYTHON(_Py_FalseStruct);
EDGEFLOW_DATA_OF_PYTHON(_Py_NoneStruct);
EDGEFLOW_DATA_OF_PYTHON(_Py_NotImplementedStruct);
EDGEFLOW_DATA_OF_PYTHON(_Py_TrueStruct);
}
