/* distnet._native.router: router.c for Python. The stub beside it says what there is. */
#include "polled.h"

#include <stddef.h>

#include "router.h"

typedef struct {
    Part part;
    struct node node;
} Node;

static PyTypeObject RouterType, NodeType;

static struct router *router_of(const Polled *self)
{
    return self->whole;
}

/* Router */

static void end(void *router)
{
    router_free(router);
}

static PyObject *router_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct polled_arguments parsed;
    if (!polled_parse(&parsed, args, kwargs, "max_payload", LARGEST_PAYLOAD))
        return NULL;
    struct router *router = router_new(parsed.epoll, (uint32_t)parsed.limit, parsed.patience);
    return polled_make(type, router, router ? router_poller(router) : NULL, end);
}

static PyObject *object_of(const void *node)
{
    return (PyObject *)((const char *)node - offsetof(Node, node));
}

static PyObject *tell_node(const Polled *self, const void *node)
{
    (void)self;
    return Py_NewRef(object_of(node));
}

static PyObject *tell_full(const Polled *self, const void *item)
{
    (void)self;
    const struct node *node = item;
    const char *begun = node->begun.data ? (const char *)node->begun.data : "";
    return Py_BuildValue("(Oy#n)", object_of(node), begun, (Py_ssize_t)node->begun.size,
                         (Py_ssize_t)node->written);
}

static PyObject *py_poll(Polled *self, PyObject *args)
{
    double timeout;
    int error;
    if (!PyArg_ParseTuple(args, "d", &timeout))
        return NULL;
    int milliseconds = polled_milliseconds(timeout);
    Py_BEGIN_ALLOW_THREADS
    error = router_poll(router_of(self), milliseconds);
    Py_END_ALLOW_THREADS
    if (error)
        return polled_result(error);
    const struct router_notes *notes = router_notes(router_of(self));
    return Py_BuildValue(
        "(NNNNN)", polled_events(self->poller), polled_list(self, &notes->fulls, tell_full),
        polled_list(self, &notes->givers, tell_node), polled_list(self, &notes->failed, tell_node),
        polled_list(self, &notes->roomy, tell_node));
}

static PyMethodDef router_methods[] = {
    POLLED_METHODS,
    {"poll", (PyCFunction)py_poll, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject RouterType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.router.Router",
    POLLED_SLOTS,
    .tp_methods = router_methods,
    .tp_new = router_make,
};

/* Node */

static PyObject *node_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"router", "id", "fd", "owner", "segment", NULL};
    PyObject *router, *owner;
    unsigned int id, segment;
    int fd;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!IiOI", names, &RouterType, &router, &id, &fd, &owner, &segment))
        return NULL;
    Node *self = part_make(type, router, owner);
    if (!self)
        return NULL;
    self->node.id = id;
    self->node.fd = fd;
    self->node.outbox.segment = segment;
    return part_attached(self, router_attach(router_of(self->part.polled), &self->node));
}

static void node_dealloc(Node *self)
{
    free(self->node.given.data);
    free(self->node.outbox.queue.data);
    part_dealloc(&self->part);
}

static PyObject *node_take(Node *self, PyObject *nothing)
{
    (void)nothing;
    struct buffer given = self->node.given;
    self->node.given = (struct buffer){0};
    PyObject *data = PyBytes_FromStringAndSize((char *)given.data, (Py_ssize_t)given.size);
    free(given.data);
    return data;
}

static PyObject *node_detach(Node *self, PyObject *nothing)
{
    if (self->node.attached) {
        router_detach(router_of(self->part.polled), &self->node);
        PyObject *data = node_take(self, nothing);
        Py_DECREF(self);
        return data;
    }
    return node_take(self, nothing);
}

static PyObject *node_open(Node *self, PyObject *nothing)
{
    (void)nothing;
    router_open(router_of(self->part.polled), &self->node);
    Py_RETURN_NONE;
}

static PyObject *node_close(Node *self, PyObject *nothing)
{
    (void)nothing;
    router_close(router_of(self->part.polled), &self->node);
    Py_RETURN_NONE;
}

static PyObject *node_read(Node *self, PyObject *args)
{
    Py_buffer rest;
    if (!PyArg_ParseTuple(args, "y*", &rest))
        return NULL;
    struct router *router = router_of(self->part.polled);
    int error = router_read(router, &self->node, rest.buf, (size_t)rest.len);
    PyBuffer_Release(&rest);
    return polled_result(error);
}

static PyObject *node_push(Node *self, PyObject *args)
{
    Py_buffer data;
    uint64_t messages;
    if (!PyArg_ParseTuple(args, "y*", &data))
        return NULL;
    struct router *router = router_of(self->part.polled);
    size_t taken = router_push(router, &self->node, data.buf, (size_t)data.len, &messages);
    PyBuffer_Release(&data);
    return Py_BuildValue("(nK)", (Py_ssize_t)taken, (unsigned long long)messages);
}

static PyObject *node_unwritten(Node *self, PyObject *nothing)
{
    (void)nothing;
    struct outbox *outbox = &self->node.outbox;
    const char *data = outbox->queue.data ? (const char *)outbox->queue.data + outbox->done : "";
    return Py_BuildValue("(y#n)", data, (Py_ssize_t)(outbox->queue.size - outbox->done),
                         (Py_ssize_t)outbox->written);
}

static PyObject *node_counts(Node *self, PyObject *nothing)
{
    (void)nothing;
    struct node *node = &self->node;
    PyObject *counts = Py_BuildValue(
        "(KKKK)", (unsigned long long)node->received, (unsigned long long)node->received_bytes,
        (unsigned long long)node->delivered, (unsigned long long)node->delivered_bytes);
    if (counts)
        node->received = node->received_bytes = node->delivered = node->delivered_bytes = 0;
    return counts;
}

static PyObject *node_get_owner(Node *self, void *nothing)
{
    (void)nothing;
    return Py_NewRef(self->part.owner ? self->part.owner : Py_None);
}

static PyObject *node_get_reads(Node *self, void *nothing)
{
    (void)nothing;
    return PyBool_FromLong(self->node.reads);
}

static PyMethodDef node_methods[] = {
    {"open", (PyCFunction)node_open, METH_NOARGS, NULL},
    {"close", (PyCFunction)node_close, METH_NOARGS, NULL},
    {"read", (PyCFunction)node_read, METH_VARARGS, NULL},
    {"take", (PyCFunction)node_take, METH_NOARGS, NULL},
    {"detach", (PyCFunction)node_detach, METH_NOARGS, NULL},
    {"push", (PyCFunction)node_push, METH_VARARGS, NULL},
    {"unwritten", (PyCFunction)node_unwritten, METH_NOARGS, NULL},
    {"counts", (PyCFunction)node_counts, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef node_attributes[] = {
    {"owner", (getter)node_get_owner, NULL, NULL, NULL},
    {"reads", (getter)node_get_reads, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject NodeType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.router.Node",
    PART_SLOTS,
    .tp_basicsize = sizeof(Node),
    .tp_dealloc = (destructor)node_dealloc,
    .tp_methods = node_methods,
    .tp_getset = node_attributes,
    .tp_new = node_make,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "distnet._native.router",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit_router(void)
{
    PyObject *made = PyModule_Create(&module);
    if (!made || PyModule_AddType(made, &RouterType) || PyModule_AddType(made, &NodeType) ||
        PyModule_AddIntConstant(made, "LARGEST_PAYLOAD", LARGEST_PAYLOAD)) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
