/* distnet._native.bridge: bridge.c for Python. The stub beside it says what there is. */
#include "polled.h"

#include <stddef.h>

#include "bridge.h"

typedef struct {
    Part part;
    struct endpoint endpoint;
} Endpoint;

static PyTypeObject BridgeType, EndpointType;

static struct bridge *bridge_of(const Polled *self)
{
    return self->whole;
}

/* Bridge */

static void end(void *bridge)
{
    bridge_free(bridge);
}

static PyObject *bridge_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct polled_arguments parsed;
    if (!polled_parse(&parsed, args, kwargs, "max_frame", LARGEST_FRAME))
        return NULL;
    struct bridge *bridge = bridge_new(parsed.epoll, parsed.limit, parsed.patience);
    return polled_make(type, bridge, bridge ? bridge_poller(bridge) : NULL, end);
}

/* The owner of an endpoint that is attached. */
static PyObject *tell_owner(const Polled *self, const void *endpoint)
{
    (void)self;
    const Endpoint *object =
        (const Endpoint *)((const char *)endpoint - offsetof(Endpoint, endpoint));
    return Py_NewRef(object->part.owner);
}

static PyObject *tell_failed(const Polled *self, const void *item)
{
    const struct endpoint *endpoint = item;
    return Py_BuildValue("(Ni)", tell_owner(self, endpoint), endpoint->error);
}

static PyObject *tell_touched(const Polled *self, const void *item)
{
    const struct address *address = item;
    char bytes[ADDRESS_SIZE];
    unsigned vlan = address_read(address, (unsigned char *)bytes);
    double ago = (double)(self->poller->now - address->seen) / 1e9;
    return Py_BuildValue("(Iy#d)", vlan, bytes, (Py_ssize_t)sizeof bytes, ago);
}

static PyObject *py_poll(Polled *self, PyObject *args)
{
    double timeout;
    int mode, error;
    if (!PyArg_ParseTuple(args, "di", &timeout, &mode))
        return NULL;
    int milliseconds = polled_milliseconds(timeout);
    Py_BEGIN_ALLOW_THREADS
    error = bridge_poll(bridge_of(self), milliseconds, (enum mode)mode);
    Py_END_ALLOW_THREADS
    if (error)
        return polled_result(error);
    const struct bridge_notes *notes = bridge_notes(bridge_of(self));
    return Py_BuildValue(
        "(NNNNNN)", polled_events(self->poller), polled_list(self, &notes->counted, tell_owner),
        polled_list(self, &bridge_addresses(bridge_of(self))->touched, tell_touched),
        polled_list(self, &notes->closed, tell_owner), polled_list(self, &notes->givers, tell_owner),
        polled_list(self, &notes->failed, tell_failed));
}

static PyObject *py_set_vlan(Polled *self, PyObject *args)
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
    int error = bridge_set_vlan(bridge_of(self), number, endpoints, (size_t)count, has_tagged);
    PyMem_Free(endpoints);
    return polled_result(error);
}

/* Learn an address, or forget it. */
static PyObject *set_address(Polled *self, unsigned vlan, Py_buffer *bytes, const uint32_t *port)
{
    struct addresses *addresses = bridge_addresses(bridge_of(self));
    PyObject *result = NULL;
    if (bytes->len != ADDRESS_SIZE || vlan >= VLANS) {
        PyErr_Format(PyExc_ValueError, "an address of %zd bytes in VLAN %u", bytes->len, vlan);
    } else if (port) {
        result = polled_result(addresses_learn(addresses, vlan, bytes->buf, *port));
    } else {
        addresses_forget(addresses, vlan, bytes->buf);
        result = polled_result(0);
    }
    PyBuffer_Release(bytes);
    return result;
}

static PyObject *py_learn(Polled *self, PyObject *args)
{
    unsigned int vlan, port;
    Py_buffer bytes;
    if (!PyArg_ParseTuple(args, "Iy*I", &vlan, &bytes, &port))
        return NULL;
    return set_address(self, vlan, &bytes, &port);
}

static PyObject *py_forget(Polled *self, PyObject *args)
{
    unsigned int vlan;
    Py_buffer bytes;
    if (!PyArg_ParseTuple(args, "Iy*", &vlan, &bytes))
        return NULL;
    return set_address(self, vlan, &bytes, NULL);
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
    POLLED_SLOTS,
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
    Endpoint *self = part_make(type, bridge, owner);
    if (!self)
        return NULL;
    self->endpoint.port = port;
    self->endpoint.fd = fd;
    self->endpoint.is_socket = is_socket;
    self->endpoint.is_source = is_source;
    return part_attached(self, bridge_attach(bridge_of(self->part.polled), &self->endpoint));
}

static void endpoint_dealloc(Endpoint *self)
{
    for (struct item *item; (item = bridge_take(&self->endpoint));)
        free(item);
    part_dealloc(&self->part);
}

static PyObject *endpoint_take(Endpoint *self, PyObject *nothing)
{
    (void)nothing;
    struct item *item = bridge_take(&self->endpoint);
    if (!item)
        Py_RETURN_NONE;
    PyObject *taken = Py_BuildValue(
        "(Ny#)", item->to ? tell_owner(self->part.polled, item->to) : Py_NewRef(Py_None), (char *)item->frame,
        (Py_ssize_t)item->size);
    free(item);
    return taken;
}

static PyObject *endpoint_detach(Endpoint *self, PyObject *nothing)
{
    (void)nothing;
    struct tally left;
    int attached = self->endpoint.attached;
    bridge_detach(bridge_of(self->part.polled), &self->endpoint, &left);
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
    bridge_set_state(bridge_of(self->part.polled), &self->endpoint, (enum state)state);
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
    PART_SLOTS,
    .tp_basicsize = sizeof(Endpoint),
    .tp_dealloc = (destructor)endpoint_dealloc,
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
