/*
 * strict_client: a node with the observable habits of an unmodified kernel, as a static Linux program.
 *
 * It is the test's stand-in for a kernel, as unforgiving as one: the id is whatever ONE read of at most 10 bytes
 * returned, a header is ONE read of 8 bytes, a payload fits 16 to 4096 bytes. It is not a client library: what would
 * make it robust would make the tests blind. "DN PANIC ..." is what would have panicked a kernel (exit 1), "DN FAIL
 * ..." is an expectation of the script that did not hold (exit 2).
 *
 * usage: strict_client SCRIPT      steps separated by ';', arguments by ':', ids in a list by ','
 *
 * SCRIPT&SCRIPT... run at the same time, in processes of their own; what the end tells are the first one's messages.
 *
 *   connect[:SECS]               (re)connect to 10.0.2.16:1234 and read the id        DN id=2
 *   getid                        print the id                                         DN getid=2
 *   bcast:IDS:SIZE:COUNT         COUNT blocks to each id of the list except our own   DN bcast n=8 bytes=4096
 *   send:ID:SIZE:COUNT           COUNT messages to one id                             DN send n=4 bytes=2048
 *   expect:FROM:COUNT[:SECS]     COUNT messages from an id or `any`, in order         DN expect from=1 n=4 ... ok
 *   load:FROM:COUNT[:SECS]       the same, reading all the time; cut headers and payloads are counted, not fatal
 *   echo[:COUNT[:SECS]]          send every message back to its source; no COUNT: for ever
 *   nonblock / block             receive mode; nonblock loses the stream on EAGAIN inside a payload
 *   raw:HEX                      write these bytes as they are
 *   sleep:SECS  quit  close  wait (for ever, reading nothing)
 *
 * and, in ethernet.c, for guests on one Ethernet, without a master:
 *
 *   ping:IP[:COUNT[:SIZE[:SECS]]]  until COUNT answers came, one after the other; SIZE bytes after the header,
 *                                  never in fragments; `lost` counts from the first      DN ping to=10.0.2.17 ... ok
 *   serve:PORT:BYTES[:SECS]      send BYTES to the first who connects                 DN serve peer=10.0.2.17 ... ok
 *   fetch:IP:PORT:BYTES[:SECS]   read them, compare each, and tell how far it is      DN fetch peer=10.0.2.18 ... ok
 *
 * SIZE is the payload: a stamp of two big-endian u64 (sender's id, number of the message on this pair since connect,
 * from 0) and a pattern made from both. SECS may have a fraction; 60 unless given. Steps of at most 64 messages print
 * each one: "DN recv from=1 len=512 seq=17 ok".
 */
#define _GNU_SOURCE
#include "script.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ID_BYTES = 10, HEADER = 8, STAMP = 16, PAYLOAD_MAX = 4096, SEND_MAX = 1024, PEERS = 64, ARGS = 4, SHOWN = 64 };
enum mode { BLOCK, NONBLOCK, COUNTING };

struct peer {
	bool used;
	uint32_t id;
	u64 sent;       /* number of our next message to it */
	u64 next;       /* number we expect from it next */
	u64 next_echo;  /* the same for our own messages coming back */
	u64 unclaimed;  /* received, not yet asked for by an `expect` */
};

struct message {
	uint32_t source, len;
	uint8_t data[PAYLOAD_MAX];
};

struct tally {
	u64 received, sent, bad, lost, dup, restarts, short_headers, split_payloads, short_writes, unwritable;
};

static int sock = -1;
static u64 my_id;
static bool have_id;
static enum mode mode = BLOCK;
static struct peer peers[PEERS];
static struct tally total;

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void stop(const char *kind, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("DN %s ", kind);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(strcmp(kind, "PANIC") == 0 ? 1 : 2);
}

static struct peer *peer_of(uint32_t id)
{
	for (int i = 0; i < PEERS; i++) {
		if (!peers[i].used)
			peers[i] = (struct peer){.used = true, .id = id};
		if (peers[i].id == id)
			return &peers[i];
	}
	stop("FAIL", "more than %d peers", PEERS);
}

bool wait_for_events(int fd, short events, double deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	double left = deadline - now();
	int n = poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
	if (n < 0)
		stop("FAIL", "poll errno=%d", errno);
	return n > 0;
}

static bool wait_socket(short events, double deadline)
{
	return wait_for_events(sock, events, deadline);
}

/* --- payloads ------------------------------------------------------------------------------------------------ */

static uint8_t pattern(u64 sender, u64 seq, uint32_t i)
{
	return (uint8_t)(sender * 131 + seq * 17 + i * 7 + (i >> 8));
}

static void fill(uint8_t *data, uint32_t len, u64 sender, u64 seq)
{
	uint64_t stamp[2] = {htobe64(sender), htobe64(seq)};
	memcpy(data, stamp, STAMP);
	for (uint32_t i = STAMP; i < len; i++)
		data[i] = pattern(sender, seq, i);
}

/* Verify a message byte by byte and its place in the order of its source; count what is wrong. */
static void check(const struct message *m, bool show)
{
	struct peer *p = peer_of(m->source);
	uint64_t stamp[2];
	const char *verdict = "ok";

	memcpy(stamp, m->data, STAMP);
	u64 sender = be64toh(stamp[0]), seq = be64toh(stamp[1]);
	bool intact = sender == m->source || sender == my_id;
	for (uint32_t i = STAMP; i < m->len && intact; i++)
		intact = m->data[i] == pattern(sender, seq, i);

	u64 *next = sender == m->source ? &p->next : &p->next_echo;
	if (!intact) {
		total.bad++;
		verdict = "bad";
	} else if (seq == *next) {
		*next = seq + 1;
	} else if (seq == 0) { /* the sender connected anew under the same id */
		total.restarts++;
		*next = 1;
		verdict = "restart";
	} else if (seq > *next) {
		total.lost += seq - *next;
		*next = seq + 1;
		verdict = "lost";
	} else {
		total.dup++;
		verdict = "dup";
	}
	total.received++;
	p->unclaimed++;
	if (show || strcmp(verdict, "ok") != 0)
		printf("DN recv from=%u len=%u seq=%llu %s\n", m->source, m->len, seq, verdict);
}

/* --- the kernel's recv and send ------------------------------------------------------------------------------ */

/* One message; false when none began before the deadline. */
static bool receive(struct message *m, double deadline)
{
	uint8_t header[HEADER];
	ssize_t n;

	if (mode == BLOCK) {
		if (!wait_socket(POLLIN, deadline))
			return false;
		n = read(sock, header, HEADER);
	} else {
		/* No poll here: asking again at once is what makes a reader that has caught up. */
		while ((n = recv(sock, header, HEADER, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
			if (now() > deadline)
				return false;
	}
	if (n < 0)
		stop("PANIC", "header errno=%d", errno);
	if (n > 0 && n < HEADER && mode == COUNTING) {
		total.short_headers++;
		if (recv(sock, header + n, HEADER - (size_t)n, MSG_WAITALL) == HEADER - n)
			n = HEADER;
	}
	if (n < HEADER)
		stop("PANIC", "short header %zd", n);

	uint32_t words[2];
	memcpy(words, header, HEADER);
	m->source = le32toh(words[0]);
	m->len = le32toh(words[1]);
	if (m->len < STAMP || m->len > PAYLOAD_MAX)
		stop("PANIC", "payload %u from=%u", m->len, m->source);

	bool split = false;
	for (uint32_t got = 0; got < m->len; got += (uint32_t)n) {
		n = recv(sock, m->data + got, m->len - got, mode == BLOCK || split ? 0 : MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN && mode == COUNTING) {
			total.split_payloads++;
			split = true; /* wait for the rest of this one */
			n = 0;
		} else if (n < 0 && errno == EAGAIN) {
			stop("PANIC", "stream lost %u of %u", got, m->len);
		} else if (n < 0) {
			stop("PANIC", "payload errno=%d", errno);
		} else if (n == 0) {
			stop("PANIC", "eof in payload %u of %u", got, m->len);
		}
	}
	return true;
}

/* One write, whatever became of it: like the kernel, but a short one is reported. */
static void write_once(const uint8_t *data, size_t len)
{
	if (!wait_socket(POLLOUT, 0)) {
		total.unwritable++; /* the kernel's send would return EAGAIN here */
		if (!wait_socket(POLLOUT, now() + 60))
			stop("FAIL", "send not writable for 60 s");
	}
	ssize_t n = send(sock, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		stop("FAIL", "send errno=%d", errno);
	if ((size_t)n < len) {
		total.short_writes++;
		printf("DN short write %zd of %zu\n", n, len);
	}
}

static void send_message(uint32_t dest, const uint8_t *payload, uint32_t len)
{
	uint8_t frame[HEADER + SEND_MAX];
	uint32_t header[2] = {htole32(dest), htole32(len)};

	if (len > SEND_MAX)
		stop("FAIL", "send of %u bytes: ENOBUFS", len);
	memcpy(frame, header, HEADER);
	memcpy(frame + HEADER, payload, len);
	write_once(frame, HEADER + len);
	total.sent++;
}

static void send_numbered(uint32_t dest, uint32_t len)
{
	uint8_t payload[PAYLOAD_MAX];

	if (len < STAMP || len > PAYLOAD_MAX)
		stop("FAIL", "size %u", len);
	fill(payload, len, my_id, peer_of(dest)->sent++);
	send_message(dest, payload, len);
}

/* --- steps --------------------------------------------------------------------------------------------------- */

uint32_t number(const char *text)
{
	char *end;
	u64 n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || n > UINT32_MAX)
		stop("FAIL", "not a number: '%s'", text);
	return (uint32_t)n;
}

double seconds(const char *text)
{
	return *text ? strtod(text, NULL) : 60;
}

static STEP(do_close)
{
	if (sock >= 0)
		close(sock);
	sock = -1;
	have_id = false;
}

static STEP(do_connect)
{
	double limit = seconds(arg[0]);
	struct timeval t = {.tv_sec = (time_t)limit, .tv_usec = (suseconds_t)((limit - (double)(time_t)limit) * 1e6)};
	struct sockaddr_in master = {.sin_family = AF_INET, .sin_port = htons(1234)};
	char text[ID_BYTES + 1] = "";

	do_close(step, arg);
	memset(peers, 0, sizeof peers); /* a new id: every pair counts from 0 again */
	inet_pton(AF_INET, "10.0.2.16", &master.sin_addr);
	sock = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	if (connect(sock, (struct sockaddr *)&master, sizeof master) < 0)
		stop("FAIL", "connect errno=%d", errno);
	if (!wait_socket(POLLIN, now() + limit))
		stop("FAIL", "no id");
	ssize_t n = read(sock, text, ID_BYTES);
	if (n <= 0 || strspn(text, "0123456789") != (size_t)n) {
		printf("DN PANIC id len=%zd hex=", n);
		for (ssize_t i = 0; i < n; i++)
			printf("%02x", (uint8_t)text[i]);
		printf("\n");
		exit(1);
	}
	my_id = strtoull(text, NULL, 10);
	have_id = true;
	printf("DN id=%llu\n", my_id);
}

static STEP(do_getid)
{
	printf(have_id ? "DN getid=%llu\n" : "DN getid=none\n", my_id);
}

/* bcast and send: the same but for our own id */
static STEP(do_send)
{
	uint32_t size = number(arg[1]), count = number(arg[2]);
	u64 before = total.sent;

	for (char *save, *id = strtok_r(arg[0], ",", &save); id; id = strtok_r(NULL, ",", &save))
		if (*step == 's' || number(id) != my_id) /* a kernel keeps what is its own to itself */
			for (uint32_t i = 0; i < count; i++)
				send_numbered(number(id), size);
	printf("DN %s n=%llu bytes=%llu\n", step, (total.sent - before),
	       (total.sent - before) * size);
}

/* Take one received message off the account of FROM (or of anyone). */
static bool claim(const char *from)
{
	for (int i = 0; i < PEERS && peers[i].used; i++)
		if (peers[i].unclaimed && (strcmp(from, "any") == 0 || peers[i].id == number(from))) {
			peers[i].unclaimed--;
			return true;
		}
	return false;
}

static void collect(const char *step, const char *from, uint32_t count, double limit, bool echo)
{
	static struct message m;
	struct tally was = total;
	double began = now(), deadline = began + limit;
	uint32_t got = 0;

	while (got < count) {
		if (claim(from)) {
			got++;
		} else if (receive(&m, deadline)) {
			check(&m, count <= SHOWN);
			if (echo)
				send_message(m.source, m.data, m.len);
		} else {
			break;
		}
	}
	bool ok = got == count && total.bad == was.bad && total.lost == was.lost && total.dup == was.dup;
	printf("DN %s%s from=%s n=%u want=%u bad=%llu lost=%llu dup=%llu restarts=%llu short_headers=%llu"
	       " split_payloads=%llu ms=%.0f %s\n", ok ? "" : "FAIL ", step, from, got, count,
	       (total.bad - was.bad), (total.lost - was.lost),
	       (total.dup - was.dup), (total.restarts - was.restarts),
	       (total.short_headers - was.short_headers),
	       (total.split_payloads - was.split_payloads), (now() - began) * 1e3, ok ? "ok" : "failed");
	if (!ok)
		exit(2);
}

/* expect and load */
static STEP(do_expect)
{
	enum mode was = mode;
	if (*step == 'l')
		mode = COUNTING;
	collect(step, arg[0], number(arg[1]), seconds(arg[2]), false);
	mode = was;
}

static STEP(do_echo)
{
	bool forever = !*arg[0];
	collect(step, "any", forever ? UINT32_MAX : number(arg[0]), forever ? 1e6 : seconds(arg[1]), true);
}

/* block and nonblock */
static STEP(do_mode)
{
	mode = *step == 'b' ? BLOCK : NONBLOCK;
}

static STEP(do_raw)
{
	uint8_t data[PAYLOAD_MAX];
	size_t len = 0;
	unsigned byte;

	for (const char *hex = arg[0]; len < sizeof data && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		data[len++] = (uint8_t)byte;
	if (len == 0 || strlen(arg[0]) != len * 2)
		stop("FAIL", "not hex: '%s'", arg[0]);
	write_once(data, len);
	printf("DN raw bytes=%zu\n", len);
}

static STEP(do_sleep)
{
	usleep((useconds_t)(seconds(arg[0]) * 1e6));
}

static STEP(do_quit)
{
	write_once((const uint8_t *)"quit", 4);
	printf("DN quit\n");
}

static STEP(do_wait)
{
	printf("DN waiting\n");
	for (;;)
		pause();
}

static const struct {
	const char *name;
	void (*run)(const char *step, char **arg);
	int needs;
} steps[] = {
	{"connect", do_connect, 0}, {"reconnect", do_connect, 0}, {"close", do_close, 0}, {"getid", do_getid, 0},
	{"bcast", do_send, 3}, {"send", do_send, 3}, {"expect", do_expect, 2}, {"load", do_expect, 2},
	{"echo", do_echo, 0}, {"block", do_mode, 0}, {"nonblock", do_mode, 0}, {"raw", do_raw, 1},
	{"sleep", do_sleep, 1}, {"quit", do_quit, 0}, {"wait", do_wait, 0},
	{"ping", do_ping, 1}, {"serve", do_serve, 2}, {"fetch", do_fetch, 3},
};

static void run_step(char *step)
{
	char *arg[ARGS] = {"", "", "", ""}, *name = strsep(&step, ":");
	int given = 0;

	while (step && given < ARGS)
		arg[given++] = strsep(&step, ":");
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (strcmp(steps[i].name, name) == 0 && given >= steps[i].needs) {
			steps[i].run(name, arg);
			return;
		}
	stop("FAIL", "unknown step or too few arguments: '%s'", name);
}

static void run(char *script)
{
	for (char *step; (step = strsep(&script, ";"));)
		if (*step)
			run_step(step);
}

/* In a process that ends with this one, if not before. */
static void run_apart(char *script)
{
	pid_t child = fork();

	if (child < 0)
		stop("FAIL", "fork errno=%d", errno);
	if (child > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(script);
	exit(0);
}

int main(int argc, char **argv)
{
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		stop("FAIL", "usage: strict_client SCRIPT");
	char *others = strdup(argv[1]), *first = strsep(&others, "&");
	while (others)
		run_apart(strsep(&others, "&"));
	run(first);
	while (wait(&status) > 0)
		if (status != 0) /* it has said why */
			exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
	printf("DN done sent=%llu received=%llu short_writes=%llu unwritable=%llu\n", total.sent,
	       total.received, total.short_writes,
	       total.unwritable);
	return 0;
}
