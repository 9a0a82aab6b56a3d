/* See polled.h. */
#include "polled.h"

#include <errno.h>
#include <math.h>

PyObject *polled_failed(int error)
{
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *tell(Polled *self, PyObject *args, int (*how)(struct poller *, int, uint32_t))
{
    int fd;
    unsigned int events;
    if (!PyArg_ParseTuple(args, "iI", &fd, &events))
        return NULL;
    int error = how(self->poller, fd, events);
    if (error)
        return polled_failed(error);
    Py_RETURN_NONE;
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
    int error = poller_want(self->poller, fd, 0);
    if (error)
        return polled_failed(error);
    Py_RETURN_NONE;
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

int polled_milliseconds(double seconds)
{
    return seconds < 0 ? -1 : seconds > 1e6 ? 1000000000 : (int)ceil(seconds * 1e3);
}
