/* distnet._native.guest: guest.c for Python. The stub beside it says what there is. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <string.h>

#include "guest.h"
#include "relay.h"

typedef struct {
    PyObject_HEAD
    struct guest *guest;
    PyObject *rest;
    unsigned char (*fixed)[4];
} Guest;

/* What Python does */

/* When Python wants to go on. */
static int ask_when(Guest *self)
{
    PyObject *answer = PyObject_CallMethod(self->rest, "wait", NULL);
    if (!answer)
        return -1;
    double seconds = PyFloat_AsDouble(answer);
    Py_DECREF(answer);
    if (PyErr_Occurred())
        return -1;
    self->guest->python_at =
        seconds < 0 ? NEVER : guest_seconds() + (uint64_t)(seconds * (double)SECOND);
    return 0;
}

/* No more of Python is run after an exception: guest_step() is to return first. */
static int may_call(const Guest *self)
{
    return !self->guest->failed && !PyErr_Occurred();
}

static int done(Guest *self, PyObject *result)
{
    if (!result)
        return -1;
    Py_DECREF(result);
    return ask_when(self);
}

static int call(void *self, const char *method)
{
    if (!may_call(self))
        return -1;
    return done(self, PyObject_CallMethod(((Guest *)self)->rest, method, NULL));
}

static int rest_received(void *opaque, const unsigned char *frame, size_t size)
{
    Guest *self = opaque;
    if (!may_call(self))
        return -1;
    return done(
        self, PyObject_CallMethod(
                  self->rest, "received", "y#", (const char *)frame, (Py_ssize_t)size));
}

static int rest_told(void *opaque, const char *message, size_t size, const int *fds, int count)
{
    Guest *self = opaque;
    if (!may_call(self))
        return -1;
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *number = PyLong_FromLong(fds[i]);
        if (number)
            PyList_SET_ITEM(list, i, number);
        else
            Py_CLEAR(list);
    }
    if (!list)
        return -1;
    return done(
        self,
        PyObject_CallMethod(self->rest, "told", "y#N", message, (Py_ssize_t)size, list));
}

static int rest_gone(void *self)
{
    return call(self, "gone");
}

static int rest_turn(void *self)
{
    return call(self, "turn");
}

static int rest_idle(void *self)
{
    return call(self, "idle");
}

static int rest_outward(void *opaque, unsigned char *frame, size_t size)
{
    Guest *self = opaque;
    if (!may_call(self))
        return -1;
    PyObject *made = PyObject_CallMethod(
        self->rest, "outward", "y#", (const char *)frame, (Py_ssize_t)size);
    if (made && PyBytes_Check(made) && (size_t)PyBytes_GET_SIZE(made) == size)
        memcpy(frame, PyBytes_AS_STRING(made), size);
    return done(self, made);
}

static int rest_complain(void *opaque, const char *line)
{
    Guest *self = opaque;
    if (!may_call(self))
        return -1;
    return done(self, PyObject_CallMethod(self->rest, "complain", "s", line));
}

/* Guest */

/* What a method returns that may have called Python meanwhile. */
static PyObject *none_unless_failed(const Guest *self)
{
    if (!self->guest->failed)
        Py_RETURN_NONE;
    if (PyErr_Occurred())
        return NULL;
    if (self->guest->error) {
        errno = self->guest->error;
        PyErr_SetFromErrno(PyExc_OSError);
    } else {
        /* Somebody has caught what was raised. */
        PyErr_SetString(PyExc_RuntimeError, "an exception was caught that ends the process");
    }
    return NULL;
}

/* 0 with an exception if it is not as long as it has to be. */
static int has_size(const Py_buffer *bytes, Py_ssize_t size, const char *what)
{
    if (bytes->len == size)
        return 1;
    PyErr_Format(PyExc_ValueError, "%s of %zd bytes", what, bytes->len);
    return 0;
}

static PyObject *guest_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"own", "master", "port", "network", "mask", "fixed", NULL};
    Py_buffer own, master, fixed;
    unsigned int port, network, mask;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "y*y*IIIy*", names, &own, &master, &port, &network, &mask, &fixed))
        return NULL;
    Guest *self = NULL;
    struct plan plan = {.owns = (int)(own.len / 4), .port = (uint16_t)port, .network = network,
                        .mask = mask};
    if (own.len % 4 || own.len > (Py_ssize_t)sizeof plan.own || fixed.len % 4) {
        PyErr_SetString(PyExc_ValueError, "addresses are of 4 bytes");
    } else if (has_size(&master, 4, "an address") && (self = (Guest *)type->tp_alloc(type, 0))) {
        memcpy(plan.own, own.buf, (size_t)own.len);
        memcpy(plan.master, master.buf, 4);
        self->fixed = PyMem_Malloc((size_t)fixed.len + 1);
        if (self->fixed) {
            memcpy(self->fixed, fixed.buf, (size_t)fixed.len);
            self->guest = guest_new(
                &plan, (const unsigned char (*)[4])self->fixed, (size_t)fixed.len / 4);
        }
        if (!self->guest) {
            Py_CLEAR(self);
            PyErr_NoMemory();
        }
    }
    PyBuffer_Release(&own);
    PyBuffer_Release(&master);
    PyBuffer_Release(&fixed);
    return (PyObject *)self;
}

/* There is one in a process, for as long as that lives: libslirp points to it. */
static void guest_dealloc(Guest *self)
{
    Py_CLEAR(self->rest);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *address_of(void (*function)(void))
{
    return PyLong_FromVoidPtr((void *)(uintptr_t)function);
}

static PyObject *py_callbacks(Guest *self, PyObject *nothing)
{
    (void)nothing;
    return Py_BuildValue(
        "{sNsNsNsNsNsN}", "send_packet", address_of((void (*)(void))guest_send_packet),
        "clock_get_ns", address_of((void (*)(void))guest_clock), "register_poll_fd",
        address_of((void (*)(void))guest_ignore_fd), "unregister_poll_fd",
        address_of((void (*)(void))guest_forget), "notify",
        address_of((void (*)(void))guest_ignore), "opaque", PyLong_FromVoidPtr(self->guest));
}

static PyObject *py_use(Guest *self, PyObject *args)
{
    unsigned long long instance, input, fill, poll;
    if (!PyArg_ParseTuple(args, "KKKK", &instance, &input, &fill, &poll))
        return NULL;
    struct slirp *slirp = &self->guest->slirp;
    slirp->instance = (void *)(uintptr_t)instance;
    slirp->input = (void (*)(void *, const uint8_t *, int))(uintptr_t)input;
    slirp->fill =
        (void (*)(void *, uint32_t *, int (*)(int, int, void *), void *))(uintptr_t)fill;
    slirp->poll = (void (*)(void *, int, int (*)(int, void *), void *))(uintptr_t)poll;
    Py_RETURN_NONE;
}

static PyObject *py_run(Guest *self, PyObject *args)
{
    PyObject *rest;
    Py_buffer mac;
    int frames, channel, listener;
    if (!PyArg_ParseTuple(args, "Oy*iii", &rest, &mac, &frames, &channel, &listener))
        return NULL;
    if (has_size(&mac, 6, "a MAC address")) {
        Py_XSETREF(self->rest, Py_NewRef(rest));
        self->guest->rest = (struct rest){
            self, rest_received, rest_told, rest_gone, rest_turn, rest_idle, rest_outward,
            rest_complain};
        guest_run(self->guest, mac.buf, frames, channel, listener);
        none_unless_failed(self);
    }
    PyBuffer_Release(&mac);
    return NULL;
}

static PyObject *frame_to(
    Guest *self, PyObject *frame, void (*take)(struct guest *, const unsigned char *, size_t))
{
    Py_buffer bytes;
    if (PyObject_GetBuffer(frame, &bytes, PyBUF_SIMPLE))
        return NULL;
    take(self->guest, bytes.buf, (size_t)bytes.len);
    PyBuffer_Release(&bytes);
    return none_unless_failed(self);
}

static PyObject *py_input(Guest *self, PyObject *frame)
{
    return frame_to(self, frame, guest_input);
}

static PyObject *py_put(Guest *self, PyObject *frame)
{
    return frame_to(self, frame, guest_put);
}

static PyObject *py_tell(Guest *self, PyObject *message)
{
    char *text;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(message, &text, &size))
        return NULL;
    guest_tell(self->guest, text, (size_t)size);
    Py_RETURN_NONE;
}

static PyObject *py_turn(Guest *self, PyObject *nothing)
{
    (void)nothing;
    guest_turn(self->guest);
    return none_unless_failed(self);
}

static PyObject *py_flush(Guest *self, PyObject *nothing)
{
    (void)nothing;
    guest_flush(self->guest);
    return none_unless_failed(self);
}

static PyObject *py_read(Guest *self, PyObject *nothing)
{
    (void)nothing;
    guest_read(self->guest);
    return none_unless_failed(self);
}

/* An address of IPv4, 4 bytes. */
static PyObject *with_address(
    Guest *self, PyObject *address, void (*take)(struct guest *, const unsigned char *))
{
    Py_buffer bytes;
    if (PyObject_GetBuffer(address, &bytes, PyBUF_SIMPLE))
        return NULL;
    int is_one = has_size(&bytes, 4, "an address");
    if (is_one)
        take(self->guest, bytes.buf);
    PyBuffer_Release(&bytes);
    return is_one ? none_unless_failed(self) : NULL;
}

static PyObject *py_introduce(Guest *self, PyObject *address)
{
    return with_address(self, address, guest_introduce);
}

static PyObject *py_doubt(Guest *self, PyObject *address)
{
    return with_address(self, address, guest_doubt);
}

static PyObject *py_prove(Guest *self, PyObject *args)
{
    int is_syn, is_answered;
    if (!PyArg_ParseTuple(args, "pp", &is_syn, &is_answered))
        return NULL;
    struct segment segment = {.flags = is_syn ? SYN : 0};
    self->guest->answered |= is_answered;
    guest_prove(self->guest, &segment);
    return none_unless_failed(self);
}

static PyObject *py_segment(Guest *self, PyObject *args)
{
    Py_buffer frame, address;
    unsigned int port, flags;
    struct segment segment;
    if (!PyArg_ParseTuple(
            args, "y*y*IIIII", &frame, &address, &port, &flags, &segment.start, &segment.end,
            &segment.ack))
        return NULL;
    int is_one = has_size(&address, 4, "an address");
    if (is_one) {
        memcpy(segment.address, address.buf, 4);
        segment.port = (uint16_t)port;
        segment.flags = (uint8_t)flags;
        guest_segment(self->guest, frame.buf, (size_t)frame.len, &segment);
    }
    PyBuffer_Release(&frame);
    PyBuffer_Release(&address);
    return is_one ? none_unless_failed(self) : NULL;
}

static PyObject *py_abort_all(Guest *self, PyObject *args)
{
    const char *why;
    int to_guest;
    if (!PyArg_ParseTuple(args, "sp", &why, &to_guest))
        return NULL;
    guest_abort_all(self->guest, why, to_guest);
    return none_unless_failed(self);
}

static PyObject *py_found(Guest *self, PyObject *args)
{
    unsigned long number;
    const char *name;
    Py_ssize_t size;
    int port, cuts;
    if (!PyArg_ParseTuple(args, "ky#ip", &number, &name, &size, &port, &cuts))
        return NULL;
    guest_found(self->guest, number, name, (size_t)size, port, cuts);
    return none_unless_failed(self);
}

static PyObject *py_not_found(Guest *self, PyObject *args)
{
    unsigned long number;
    PyObject *why;
    if (!PyArg_ParseTuple(args, "kS", &number, &why))
        return NULL;
    guest_not_found(self->guest, number, PyBytes_AS_STRING(why));
    return none_unless_failed(self);
}

static PyObject *py_take_flows(Guest *self, PyObject *nothing)
{
    (void)nothing;
    struct guest *guest = self->guest;
    guest->python_flows = 1;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < guest->flows; i++) {
        struct flow *flow = &guest->flow[i];
        PyObject *item = Py_BuildValue(
            "(y#y#y#Id)", (char *)flow->ethernet, (Py_ssize_t)sizeof flow->ethernet,
            (char *)flow->source, (Py_ssize_t)sizeof flow->source, (char *)flow->target,
            (Py_ssize_t)sizeof flow->target, flow->number, (double)flow->since / (double)SECOND);
        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    guest->flows = 0;
    return list;
}

static PyObject *py_hold(Guest *self, PyObject *fds)
{
    memset(self->guest->held, 0, sizeof self->guest->held);
    PyObject *iterator = PyObject_GetIter(fds);
    if (!iterator)
        return NULL;
    for (PyObject *each; (each = PyIter_Next(iterator));) {
        long fd = PyLong_AsLong(each);
        Py_DECREF(each);
        if (fd >= 0 && fd < DESCRIPTORS)
            self->guest->held[fd] = 1;
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_set_outward(Guest *self, PyObject *how)
{
    long number = PyLong_AsLong(how);
    if (PyErr_Occurred())
        return NULL;
    self->guest->outward = (enum outward)number;
    Py_RETURN_NONE;
}

static PyObject *py_set_asking(Guest *self, PyObject *is_asking)
{
    int asking = PyObject_IsTrue(is_asking);
    if (asking < 0)
        return NULL;
    self->guest->asking = asking;
    Py_RETURN_NONE;
}

static PyObject *py_wait_for(Guest *self, PyObject *fd)
{
    long number = PyLong_AsLong(fd);
    if (PyErr_Occurred())
        return NULL;
    guest_wait_for(self->guest, (int)number);
    Py_RETURN_NONE;
}

static PyObject *py_change_plug(Guest *self, PyObject *fd)
{
    long number = PyLong_AsLong(fd);
    if (PyErr_Occurred())
        return NULL;
    guest_change_plug(self->guest, (int)number);
    return none_unless_failed(self);
}

static PyObject *py_dropped(Guest *self, PyObject *nothing)
{
    (void)nothing;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < REASONS; i++) {
        struct dropped *each = &self->guest->dropped[i];
        if (!each->count)
            break;
        PyObject *item = Py_BuildValue("(ik)", each->error, each->count);
        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *get_proven(Guest *self, void *nothing)
{
    (void)nothing;
    return PyBool_FromLong(self->guest->proven);
}

static PyObject *get_connections(Guest *self, void *nothing)
{
    (void)nothing;
    return PyLong_FromLong(self->guest->relay_count);
}

static PyGetSetDef guest_getset[] = {
    {"proven", (getter)get_proven, NULL, NULL, NULL},
    {"connections", (getter)get_connections, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef guest_methods[] = {
    {"callbacks", (PyCFunction)py_callbacks, METH_NOARGS, NULL},
    {"use", (PyCFunction)py_use, METH_VARARGS, NULL},
    {"run", (PyCFunction)py_run, METH_VARARGS, NULL},
    {"input", (PyCFunction)py_input, METH_O, NULL},
    {"put", (PyCFunction)py_put, METH_O, NULL},
    {"tell", (PyCFunction)py_tell, METH_O, NULL},
    {"turn", (PyCFunction)py_turn, METH_NOARGS, NULL},
    {"flush", (PyCFunction)py_flush, METH_NOARGS, NULL},
    {"read", (PyCFunction)py_read, METH_NOARGS, NULL},
    {"introduce", (PyCFunction)py_introduce, METH_O, NULL},
    {"doubt", (PyCFunction)py_doubt, METH_O, NULL},
    {"prove", (PyCFunction)py_prove, METH_VARARGS, NULL},
    {"segment", (PyCFunction)py_segment, METH_VARARGS, NULL},
    {"abort_all", (PyCFunction)py_abort_all, METH_VARARGS, NULL},
    {"found", (PyCFunction)py_found, METH_VARARGS, NULL},
    {"not_found", (PyCFunction)py_not_found, METH_VARARGS, NULL},
    {"take_flows", (PyCFunction)py_take_flows, METH_NOARGS, NULL},
    {"hold", (PyCFunction)py_hold, METH_O, NULL},
    {"set_outward", (PyCFunction)py_set_outward, METH_O, NULL},
    {"set_asking", (PyCFunction)py_set_asking, METH_O, NULL},
    {"wait_for", (PyCFunction)py_wait_for, METH_O, NULL},
    {"change_plug", (PyCFunction)py_change_plug, METH_O, NULL},
    {"dropped", (PyCFunction)py_dropped, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject GuestType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "distnet._native.guest.Guest",
    .tp_basicsize = sizeof(Guest),
    .tp_dealloc = (destructor)guest_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = guest_methods,
    .tp_getset = guest_getset,
    .tp_new = guest_make,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "distnet._native.guest",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit_guest(void)
{
    PyObject *made = PyModule_Create(&module);
    if (!made || PyModule_AddType(made, &GuestType) ||
        PyModule_AddIntMacro(made, OUTWARD_NONE) || PyModule_AddIntMacro(made, OUTWARD_SYNS) ||
        PyModule_AddIntMacro(made, OUTWARD_ALL)) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
