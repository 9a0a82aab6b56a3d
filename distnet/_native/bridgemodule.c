/* distnet._native.bridge: bridge.c for Python. The stub beside it says what there is. */
#include "polled.h"

#include <stddef.h>

#include "bridge.h"

typedef struct {
    Polled polled;
    struct bridge *bridge;
} Bridge;

typedef struct {
    PyObject_HEAD
    struct endpoint endpoint;
    Bridge *bridge;
    PyObject *owner;
} Endpoint;

static PyTypeObject BridgeType, EndpointType;

/* Of an endpoint that is attached. */
static PyObject *owner_of(const struct endpoint *endpoint)
{
    const Endpoint *object =
        (const Endpoint *)((const char *)endpoint - offsetof(Endpoint, endpoint));
    return Py_NewRef(object->owner);
}

/* Bridge */

static PyObject *bridge_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"epoll", "max_frame", "patience", NULL};
    int epoll;
    unsigned long max_frame;
    double patience;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ikd", names, &epoll, &max_frame, &patience))
        return NULL;
    if (max_frame > LARGEST_FRAME || !(patience >= 0 && patience < 1e6))
        return PyErr_Format(PyExc_ValueError, "max_frame or patience is too large");
    Bridge *self = (Bridge *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->bridge = bridge_new(epoll, max_frame, (uint64_t)(patience * 1e9));
    if (!self->bridge) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->polled.poller = bridge_poller(self->bridge);
    return (PyObject *)self;
}

static void bridge_dealloc(Bridge *self)
{
    if (self->bridge)
        bridge_free(self->bridge);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *owners(struct endpoint **endpoints, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++)
        PyList_SET_ITEM(list, (Py_ssize_t)i, owner_of(endpoints[i]));
    return list;
}

/* A list of what a function makes of each of so many. */
static PyObject *list_of(size_t count, const void *all, PyObject *(*make)(const void *, size_t))
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *made = make(all, i);
        if (!made) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, made);
    }
    return list;
}

static PyObject *describe_seen(const void *all, size_t number)
{
    const struct seen *seen = (const struct seen *)all + number;
    return Py_BuildValue("(Iy#d)", seen->vlan, (const char *)seen->address, (Py_ssize_t)ADDRESS_SIZE,
                         (double)seen->ago / 1e9);
}

static PyObject *describe_failed(const void *all, size_t number)
{
    const struct endpoint *endpoint = ((struct endpoint *const *)all)[number];
    return Py_BuildValue("(Ni)", owner_of(endpoint), endpoint->error);
}

static PyObject *py_poll(Bridge *self, PyObject *args)
{
    double timeout;
    int mode, error;
    if (!PyArg_ParseTuple(args, "di", &timeout, &mode))
        return NULL;
    int milliseconds = polled_milliseconds(timeout);
    Py_BEGIN_ALLOW_THREADS
    error = bridge_poll(self->bridge, milliseconds, (enum mode)mode);
    Py_END_ALLOW_THREADS
    if (error)
        return polled_failed(error);
    struct endpoint **counted, **closed, **givers, **failed;
    struct seen *seen;
    size_t counts = bridge_counted(self->bridge, &counted);
    size_t sights = bridge_seen(self->bridge, &seen);
    size_t closes = bridge_closed(self->bridge, &closed);
    size_t gives = bridge_givers(self->bridge, &givers);
    size_t fails = bridge_failed(self->bridge, &failed);
    return Py_BuildValue(
        "(NNNNNN)", polled_events(self->polled.poller), owners(counted, counts),
        list_of(sights, seen, describe_seen), owners(closed, closes), owners(givers, gives),
        list_of(fails, failed, describe_failed));
}

static PyObject *py_set_vlan(Bridge *self, PyObject *args)
{
    unsigned int number;
    PyObject *members;
    int has_tagged;
    if (!PyArg_ParseTuple(args, "IO!p", &number, &PyList_Type, &members, &has_tagged))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(members);
    struct endpoint **endpoints = PyMem_New(struct endpoint *, count + 1);
    if (!endpoints)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *member = PyList_GET_ITEM(members, i);
        if (!Py_IS_TYPE(member, &EndpointType) || !((Endpoint *)member)->endpoint.attached) {
            PyMem_Free(endpoints);
            return PyErr_Format(PyExc_TypeError, "not an attached endpoint: %R", member);
        }
        endpoints[i] = &((Endpoint *)member)->endpoint;
    }
    int error = bridge_set_vlan(self->bridge, number, endpoints, (size_t)count, has_tagged);
    PyMem_Free(endpoints);
    if (error)
        return polled_failed(error);
    Py_RETURN_NONE;
}

/* The arguments that name an address; 0 with an exception. */
static int get_address(const Py_buffer *address, unsigned int vlan)
{
    if (address->len == ADDRESS_SIZE && vlan < VLANS)
        return 1;
    PyErr_Format(PyExc_ValueError, "an address of %zd bytes in VLAN %u", address->len, vlan);
    return 0;
}

static PyObject *py_learn(Bridge *self, PyObject *args)
{
    unsigned int vlan, port;
    Py_buffer address;
    if (!PyArg_ParseTuple(args, "Iy*I", &vlan, &address, &port))
        return NULL;
    int good = get_address(&address, vlan);
    int error = good ? addresses_learn(bridge_addresses(self->bridge), vlan, address.buf, port) : 0;
    PyBuffer_Release(&address);
    if (!good)
        return NULL;
    if (error)
        return polled_failed(error);
    Py_RETURN_NONE;
}

static PyObject *py_forget(Bridge *self, PyObject *args)
{
    unsigned int vlan;
    Py_buffer address;
    if (!PyArg_ParseTuple(args, "Iy*", &vlan, &address))
        return NULL;
    int good = get_address(&address, vlan);
    if (good)
        addresses_forget(bridge_addresses(self->bridge), vlan, address.buf);
    PyBuffer_Release(&address);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef bridge_methods[] = {
    POLLED_METHODS,
    {"poll", (PyCFunction)py_poll, METH_VARARGS, NULL},
    {"set_vlan", (PyCFunction)py_set_vlan, METH_VARARGS, NULL},
    {"learn", (PyCFunction)py_learn, METH_VARARGS, NULL},
    {"forget", (PyCFunction)py_forget, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject BridgeType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.bridge.Bridge",
    .tp_basicsize = sizeof(Bridge),
    .tp_dealloc = (destructor)bridge_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = bridge_methods,
    .tp_new = bridge_make,
};

/* Endpoint */

static PyObject *endpoint_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"bridge", "port", "fd", "is_socket", "is_source", "owner", NULL};
    PyObject *bridge, *owner;
    unsigned int port;
    int fd, is_socket, is_source;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!IippO", names, &BridgeType, &bridge, &port, &fd, &is_socket,
            &is_source, &owner))
        return NULL;
    Endpoint *self = (Endpoint *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->endpoint.port = port;
    self->endpoint.fd = fd;
    self->endpoint.is_socket = is_socket;
    self->endpoint.is_source = is_source;
    self->bridge = (Bridge *)Py_NewRef(bridge);
    self->owner = Py_NewRef(owner);
    int error = bridge_attach(self->bridge->bridge, &self->endpoint);
    if (error) {
        Py_DECREF(self);
        return polled_failed(error);
    }
    /* The bridge's, until it is detached. */
    Py_INCREF(self);
    return (PyObject *)self;
}

static int endpoint_traverse(Endpoint *self, visitproc visit, void *arg)
{
    Py_VISIT(self->owner);
    return 0;
}

static int endpoint_clear(Endpoint *self)
{
    Py_CLEAR(self->owner);
    return 0;
}

static void endpoint_dealloc(Endpoint *self)
{
    PyObject_GC_UnTrack(self);
    for (struct item *item; (item = bridge_take(&self->endpoint));)
        free(item);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->bridge);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *endpoint_take(Endpoint *self, PyObject *nothing)
{
    (void)nothing;
    struct item *item = bridge_take(&self->endpoint);
    if (!item)
        Py_RETURN_NONE;
    PyObject *taken = Py_BuildValue(
        "(Ny#)", item->to ? owner_of(item->to) : Py_NewRef(Py_None), (char *)item->frame,
        (Py_ssize_t)item->size);
    free(item);
    return taken;
}

static PyObject *endpoint_detach(Endpoint *self, PyObject *nothing)
{
    (void)nothing;
    struct tally left;
    int attached = self->endpoint.attached;
    bridge_detach(self->bridge->bridge, &self->endpoint, &left);
    PyObject *result = Py_BuildValue(
        "(KK)", (unsigned long long)left.frames, (unsigned long long)left.bytes);
    if (attached)
        Py_DECREF(self);
    return result;
}

static PyObject *endpoint_set_state(Endpoint *self, PyObject *args)
{
    int state;
    if (!PyArg_ParseTuple(args, "i", &state))
        return NULL;
    bridge_set_state(self->bridge->bridge, &self->endpoint, (enum state)state);
    Py_RETURN_NONE;
}

static PyObject *endpoint_counts(Endpoint *self, PyObject *nothing)
{
    (void)nothing;
    struct endpoint *endpoint = &self->endpoint;
    struct tally *tallies[] = {
        &endpoint->received, &endpoint->sent, &endpoint->slow, &endpoint->local};
    PyObject *counts = PyTuple_New(8);
    for (Py_ssize_t i = 0; counts && i < 8; i++) {
        uint64_t number = i % 2 ? tallies[i / 2]->bytes : tallies[i / 2]->frames;
        PyObject *made = PyLong_FromUnsignedLongLong(number);
        if (!made)
            Py_CLEAR(counts);
        else
            PyTuple_SET_ITEM(counts, i, made);
    }
    for (int i = 0; counts && i < 4; i++)
        *tallies[i] = (struct tally){0};
    return counts;
}

static PyMethodDef endpoint_methods[] = {
    {"take", (PyCFunction)endpoint_take, METH_NOARGS, NULL},
    {"detach", (PyCFunction)endpoint_detach, METH_NOARGS, NULL},
    {"set_state", (PyCFunction)endpoint_set_state, METH_VARARGS, NULL},
    {"counts", (PyCFunction)endpoint_counts, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject EndpointType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.bridge.Endpoint",
    .tp_basicsize = sizeof(Endpoint),
    .tp_dealloc = (destructor)endpoint_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = (traverseproc)endpoint_traverse,
    .tp_clear = (inquiry)endpoint_clear,
    .tp_methods = endpoint_methods,
    .tp_new = endpoint_make,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "distnet._native.bridge",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit_bridge(void)
{
    PyObject *made = PyModule_Create(&module);
    if (!made || PyModule_AddType(made, &BridgeType) || PyModule_AddType(made, &EndpointType) ||
        PyModule_AddIntConstant(made, "LARGEST_FRAME", LARGEST_FRAME) ||
        PyModule_AddIntMacro(made, SWITCH) || PyModule_AddIntMacro(made, HUB) ||
        PyModule_AddIntMacro(made, DIVERT) || PyModule_AddIntMacro(made, CLOSED) ||
        PyModule_AddIntMacro(made, OPEN) || PyModule_AddIntMacro(made, SLOW)) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
