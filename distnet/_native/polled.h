/* What the Python objects around a poller have in common: the methods of select.epoll. */
#ifndef DISTNET_POLLED_H
#define DISTNET_POLLED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "poller.h"

/* What such an object starts with. */
typedef struct {
    PyObject_HEAD
    struct poller *poller;
} Polled;

PyObject *polled_register(Polled *self, PyObject *args);
PyObject *polled_modify(Polled *self, PyObject *args);
PyObject *polled_unregister(Polled *self, PyObject *args);
PyObject *polled_knows(Polled *self, PyObject *args);

#define POLLED_METHODS                                                  \
    {"register", (PyCFunction)polled_register, METH_VARARGS, NULL},     \
    {"modify", (PyCFunction)polled_modify, METH_VARARGS, NULL},         \
    {"unregister", (PyCFunction)polled_unregister, METH_VARARGS, NULL}, \
    {"knows", (PyCFunction)polled_knows, METH_VARARGS, NULL}

/* The events to be told to the owner: a list of (fd, events). */
PyObject *polled_events(const struct poller *poller);
/* Of seconds as select.epoll takes them, in ms: -1 for ever. */
int polled_milliseconds(double seconds);
/* Raise OSError. */
PyObject *polled_failed(int error);

#endif
