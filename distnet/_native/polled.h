/*
 * What the Python objects of a router and of a bridge have in common. The one that is waited with
 * is of type Polled, and has the methods of select.epoll; each of those that it serves is a Part.
 */
#ifndef DISTNET_POLLED_H
#define DISTNET_POLLED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "list.h"
#include "poller.h"

/* A router or a bridge. */
typedef struct {
    PyObject_HEAD
    void *whole;
    struct poller *poller;
    void (*end)(void *whole);
} Polled;

/* What it is made with. */
struct polled_arguments {
    int epoll;
    unsigned long limit; /* of a message or frame, in bytes */
    uint64_t patience;   /* ns */
};

/* Read Python's arguments: `limit` is its name, `largest` what it may be. 0 with an exception. */
int polled_parse(
    struct polled_arguments *parsed, PyObject *args, PyObject *kwargs, char *limit,
    unsigned long largest);
/* A new object, or NULL with an exception. NULL as `whole` means that there was no memory for it. */
PyObject *polled_make(
    PyTypeObject *type, void *whole, struct poller *poller, void (*end)(void *whole));
void polled_dealloc(Polled *self);

#define POLLED_SLOTS                           \
    .tp_basicsize = sizeof(Polled),            \
    .tp_dealloc = (destructor)polled_dealloc,  \
    .tp_flags = Py_TPFLAGS_DEFAULT

PyObject *polled_register(Polled *self, PyObject *args);
PyObject *polled_modify(Polled *self, PyObject *args);
PyObject *polled_unregister(Polled *self, PyObject *args);
PyObject *polled_knows(Polled *self, PyObject *args);

#define POLLED_METHODS                                                  \
    {"register", (PyCFunction)polled_register, METH_VARARGS, NULL},     \
    {"modify", (PyCFunction)polled_modify, METH_VARARGS, NULL},         \
    {"unregister", (PyCFunction)polled_unregister, METH_VARARGS, NULL}, \
    {"knows", (PyCFunction)polled_knows, METH_VARARGS, NULL}

/* A timeout as select.epoll takes it, in seconds, as ms: -1 for ever. */
int polled_milliseconds(double seconds);
/* The events to be told to the owner: a list of (fd, events). */
PyObject *polled_events(const struct poller *poller);
/* A Python list of what `tell` makes of each item of a list. */
PyObject *polled_list(
    Polled *self, const struct list *list, PyObject *(*tell)(const Polled *self, const void *item));
/* None; with an errno, NULL and OSError. */
PyObject *polled_result(int error);

/* What the object of one that is served starts with. */
typedef struct {
    PyObject_HEAD
    Polled *polled;
    PyObject *owner; /* whatever Python knows it by */
} Part;

/* A new object, not attached yet, or NULL with an exception. */
void *part_make(PyTypeObject *type, PyObject *polled, PyObject *owner);
/* It was attached, and lives until it is detached; with an errno, NULL and OSError. */
PyObject *part_attached(void *part, int error);
int part_traverse(Part *self, visitproc visit, void *arg);
int part_clear(Part *self);
void part_dealloc(Part *self);

#define PART_SLOTS                                          \
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,    \
    .tp_traverse = (traverseproc)part_traverse,             \
    .tp_clear = (inquiry)part_clear

#endif
