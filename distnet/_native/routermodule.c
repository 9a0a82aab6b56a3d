/* distnet._native.router: router.c for Python. The stub beside it says what there is. */
#include "polled.h"

#include <stddef.h>

#include "router.h"

typedef struct {
    Polled polled;
    struct router *router;
} Router;

typedef struct {
    PyObject_HEAD
    struct node node;
    Router *router;
    PyObject *owner;
} Node;

static PyTypeObject RouterType, NodeType;

static Node *object_of(struct node *node)
{
    return (Node *)((char *)node - offsetof(Node, node));
}

/* Router */

static PyObject *router_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"epoll", "max_payload", "patience", NULL};
    int epoll;
    unsigned long max_payload;
    double patience;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ikd", names, &epoll, &max_payload, &patience))
        return NULL;
    if (max_payload > LARGEST_PAYLOAD || !(patience >= 0 && patience < 1e6))
        return PyErr_Format(PyExc_ValueError, "max_payload or patience is too large");
    Router *self = (Router *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->router = router_new(epoll, (uint32_t)max_payload, (uint64_t)(patience * 1e9));
    if (!self->router) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->polled.poller = router_poller(self->router);
    return (PyObject *)self;
}

static void router_dealloc(Router *self)
{
    if (self->router)
        router_free(self->router);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *owners(struct node **nodes, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++)
        PyList_SET_ITEM(list, (Py_ssize_t)i, Py_NewRef((PyObject *)object_of(nodes[i])));
    return list;
}

static PyObject *fulls_of(struct router *router)
{
    struct full *fulls;
    size_t count = router_fulls(router, &fulls);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *full = Py_BuildValue(
            "(Oy#n)", object_of(fulls[i].node), fulls[i].begun.data ? (char *)fulls[i].begun.data : "",
            (Py_ssize_t)fulls[i].begun.size, (Py_ssize_t)fulls[i].written);
        if (!full) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, full);
    }
    return list;
}

static PyObject *py_poll(Router *self, PyObject *args)
{
    double timeout;
    int error;
    if (!PyArg_ParseTuple(args, "d", &timeout))
        return NULL;
    int milliseconds = polled_milliseconds(timeout);
    Py_BEGIN_ALLOW_THREADS
    error = router_poll(self->router, milliseconds);
    Py_END_ALLOW_THREADS
    if (error)
        return polled_failed(error);
    struct node **givers, **lost;
    size_t given = router_givers(self->router, &givers), fails = router_failed(self->router, &lost);
    return Py_BuildValue("(NNNN)", polled_events(self->polled.poller), fulls_of(self->router),
                         owners(givers, given), owners(lost, fails));
}

static PyMethodDef router_methods[] = {
    POLLED_METHODS,
    {"poll", (PyCFunction)py_poll, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject RouterType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.router.Router",
    .tp_basicsize = sizeof(Router),
    .tp_dealloc = (destructor)router_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = router_methods,
    .tp_new = router_make,
};

/* Node */

static PyObject *node_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"router", "id", "fd", "owner", NULL};
    PyObject *router, *owner;
    unsigned int id;
    int fd;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!IiO", names, &RouterType, &router, &id, &fd, &owner))
        return NULL;
    Node *self = (Node *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->node.id = id;
    self->node.fd = fd;
    self->router = (Router *)Py_NewRef(router);
    self->owner = Py_NewRef(owner);
    int error = router_attach(self->router->router, &self->node);
    if (error) {
        Py_DECREF(self);
        return polled_failed(error);
    }
    /* The router's, until it is detached. */
    Py_INCREF(self);
    return (PyObject *)self;
}

static int node_traverse(Node *self, visitproc visit, void *arg)
{
    Py_VISIT(self->owner);
    return 0;
}

static int node_clear(Node *self)
{
    Py_CLEAR(self->owner);
    return 0;
}

static void node_dealloc(Node *self)
{
    PyObject_GC_UnTrack(self);
    free(self->node.given.data);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->router);
    Py_TYPE(self)->tp_free((PyObject *)self);
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
        router_detach(self->router->router, &self->node);
        PyObject *data = node_take(self, nothing);
        Py_DECREF(self);
        return data;
    }
    return node_take(self, nothing);
}

static PyObject *node_open(Node *self, PyObject *nothing)
{
    (void)nothing;
    router_open(self->router->router, &self->node);
    Py_RETURN_NONE;
}

static PyObject *node_close(Node *self, PyObject *nothing)
{
    (void)nothing;
    router_close(self->router->router, &self->node);
    Py_RETURN_NONE;
}

static PyObject *node_read(Node *self, PyObject *args)
{
    Py_buffer rest;
    if (!PyArg_ParseTuple(args, "y*", &rest))
        return NULL;
    int error = router_read(self->router->router, &self->node, rest.buf, (size_t)rest.len);
    PyBuffer_Release(&rest);
    if (error)
        return polled_failed(error);
    Py_RETURN_NONE;
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
    return Py_NewRef(self->owner ? self->owner : Py_None);
}

static PyObject *node_get_opened(Node *self, void *nothing)
{
    (void)nothing;
    return PyBool_FromLong(self->node.open);
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
    {"counts", (PyCFunction)node_counts, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef node_attributes[] = {
    {"owner", (getter)node_get_owner, NULL, NULL, NULL},
    {"opened", (getter)node_get_opened, NULL, NULL, NULL},
    {"reads", (getter)node_get_reads, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject NodeType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.router.Node",
    .tp_basicsize = sizeof(Node),
    .tp_dealloc = (destructor)node_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = (traverseproc)node_traverse,
    .tp_clear = (inquiry)node_clear,
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
