/* See polled.h. */
#include "polled.h"

#include <errno.h>
#include <math.h>

/* A router or a bridge */

int polled_parse(
    struct polled_arguments *parsed, PyObject *args, PyObject *kwargs, char *limit,
    unsigned long largest)
{
    char *names[] = {"epoll", limit, "patience", NULL};
    double patience;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "ikd", names, &parsed->epoll, &parsed->limit, &patience))
        return 0;
    if (parsed->limit > largest || !(patience >= 0 && patience < 1e6)) {
        PyErr_Format(PyExc_ValueError, "%s or patience is too large", limit);
        return 0;
    }
    parsed->patience = (uint64_t)(patience * 1e9);
    return 1;
}

PyObject *polled_make(
    PyTypeObject *type, void *whole, struct poller *poller, void (*end)(void *whole))
{
    if (!whole)
        return PyErr_NoMemory();
    Polled *self = (Polled *)type->tp_alloc(type, 0);
    if (!self) {
        end(whole);
        return NULL;
    }
    self->whole = whole;
    self->poller = poller;
    self->end = end;
    return (PyObject *)self;
}

void polled_dealloc(Polled *self)
{
    self->end(self->whole);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *tell(Polled *self, PyObject *args, int (*how)(struct poller *, int, uint32_t))
{
    int fd;
    unsigned int events;
    if (!PyArg_ParseTuple(args, "iI", &fd, &events))
        return NULL;
    return polled_result(how(self->poller, fd, events));
}

PyObject *polled_register(Polled *self, PyObject *args)
{
    return tell(self, args, poller_want);
}

PyObject *polled_modify(Polled *self, PyObject *args)
{
    return tell(self, args, poller_want);
}

PyObject *polled_knows(Polled *self, PyObject *args)
{
    return tell(self, args, poller_knows);
}

PyObject *polled_unregister(Polled *self, PyObject *args)
{
    int fd;
    if (!PyArg_ParseTuple(args, "i", &fd))
        return NULL;
    return polled_result(poller_want(self->poller, fd, 0));
}

int polled_milliseconds(double seconds)
{
    return seconds < 0 ? -1 : seconds > 1e6 ? 1000000000 : (int)ceil(seconds * 1e3);
}

PyObject *polled_events(const struct poller *poller)
{
    PyObject *list = PyList_New((Py_ssize_t)poller->events);
    for (size_t i = 0; list && i < poller->events; i++) {
        PyObject *event = Py_BuildValue("(iI)", poller->event[i].fd, poller->event[i].events);
        if (!event) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, event);
    }
    return list;
}

PyObject *polled_list(
    Polled *self, const struct list *list, PyObject *(*tell)(const Polled *self, const void *item))
{
    PyObject *told = PyList_New((Py_ssize_t)list->size);
    for (size_t i = 0; told && i < list->size; i++) {
        PyObject *each = tell(self, list->item[i]);
        if (!each) {
            Py_DECREF(told);
            return NULL;
        }
        PyList_SET_ITEM(told, (Py_ssize_t)i, each);
    }
    return told;
}

PyObject *polled_result(int error)
{
    if (!error)
        Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* One that is served */

void *part_make(PyTypeObject *type, PyObject *polled, PyObject *owner)
{
    Part *self = (Part *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->polled = (Polled *)Py_NewRef(polled);
    self->owner = Py_NewRef(owner);
    return self;
}

PyObject *part_attached(void *part, int error)
{
    PyObject *self = part;
    if (error) {
        Py_DECREF(self);
        return polled_result(error);
    }
    /* The reference that its router or bridge has. */
    return Py_NewRef(self);
}

int part_traverse(Part *self, visitproc visit, void *arg)
{
    Py_VISIT(self->owner);
    return 0;
}

int part_clear(Part *self)
{
    Py_CLEAR(self->owner);
    return 0;
}

void part_dealloc(Part *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->polled);
    Py_TYPE(self)->tp_free((PyObject *)self);
}
