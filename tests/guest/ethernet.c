/*
 * Steps of a script for a guest among others on an Ethernet: they have nothing to do with the master. See
 * strict_client.c.
 *
 * What is sent can be told from anything else and from any other place in it: 8 bytes, little-endian, are made from
 * their number and a key that the two ends share.
 */
#define _GNU_SOURCE
#include "script.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PING_SIZE = 56, PING_MAX = 9000, WORDS = 1 << 13, WORD = 8, TOLD = 1 << 22 };

static uint64_t pattern_word(u64 key, u64 i)
{
	return htole64((i + (key << 40) + 1) * 0x9e3779b97f4a7c15ull);
}

static void fill_words(uint8_t *data, size_t size, u64 key, u64 first)
{
	for (size_t at = 0; at < size; at += WORD, first++) {
		uint64_t word = pattern_word(key, first);
		memcpy(data + at, &word, size - at < WORD ? size - at : WORD);
	}
}

static struct sockaddr_in address(const char *ip, uint32_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		stop("FAIL", "not an address: '%s'", ip);
	return a;
}

/* --- ping ---------------------------------------------------------------------------------------------------- */

static uint16_t checksum(const void *data, size_t size)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < size; i += 2) {
		uint16_t word = 0;
		memcpy(&word, (const uint8_t *)data + i, size - i < 2 ? 1 : 2);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum + (sum >> 16));
}

/* Read answers until the one to `sent`, or the deadline; other traffic is not ours, and goes by. */
static bool answered(int fd, const uint8_t *sent, size_t size, double deadline)
{
	static uint8_t got[sizeof(struct iphdr) + 40 + sizeof(struct icmphdr) + PING_MAX];
	const struct icmphdr *asked = (const void *)sent;

	while (wait_for_events(fd, POLLIN, deadline)) {
		ssize_t n = recv(fd, got, sizeof got, 0);
		if (n < (ssize_t)(sizeof(struct iphdr) + sizeof(struct icmphdr)))
			continue;
		size_t header = ((struct iphdr *)got)->ihl * 4u;
		const struct icmphdr *answer = (const void *)(got + header);
		if (answer->type != ICMP_ECHOREPLY || answer->un.echo.id != asked->un.echo.id
		    || answer->un.echo.sequence != asked->un.echo.sequence)
			continue;
		if ((size_t)n != header + size
		    || memcmp(answer + 1, asked + 1, size - sizeof *asked) != 0)
			stop("FAIL", "ping: the answer is not what was sent");
		return true;
	}
	return false;
}

/* ping:IP[:COUNT[:SIZE[:SECS]]] */
STEP(do_ping)
{
	struct sockaddr_in to = address(arg[0], 0);
	uint32_t count = *arg[1] ? number(arg[1]) : 1, size = *arg[2] ? number(arg[2]) : PING_SIZE;
	double began = now(), deadline = began + seconds(arg[3]);
	uint32_t sent = 0, got = 0;
	static uint8_t packet[sizeof(struct icmphdr) + PING_MAX];
	size_t whole = sizeof(struct icmphdr) + size;
	int no_fragments = IP_PMTUDISC_DO;

	if (size > PING_MAX)
		stop("FAIL", "size %u", size);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &no_fragments, sizeof no_fragments);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) /* other hosts' answers are not for us */
		stop("FAIL", "ping errno=%d", errno);
	while (got < count && now() < deadline) {
		struct icmphdr *header = (void *)packet;
		*header = (struct icmphdr){.type = ICMP_ECHO};
		header->un.echo.id = htons((uint16_t)getpid());
		header->un.echo.sequence = htons((uint16_t)++sent);
		fill_words(packet + sizeof *header, size, sent, 0);
		header->checksum = checksum(packet, whole);
		double next = now() + 1 < deadline ? now() + 1 : deadline;
		if (send(fd, packet, whole, 0) < 0) {
			if (errno != EHOSTUNREACH)
				stop("FAIL", "ping of %u bytes errno=%d", size, errno);
			usleep(100000); /* nobody has answered its address yet */
		} else if (answered(fd, packet, whole, next)) {
			got++;
		}
		if (got == 0) { /* it is not there yet */
			began = now();
			sent = 0;
		}
	}
	close(fd);
	printf("DN %sping to=%s size=%u n=%u want=%u lost=%u ms=%.0f %s\n", got == count ? "" : "FAIL ", arg[0],
	       size, got, count, sent - got, (now() - began) * 1e3, got == count ? "ok" : "failed");
	if (got < count)
		exit(2);
}

/* --- a stream of bytes --------------------------------------------------------------------------------------- */

static void show(const char *what, const char *peer, u64 bytes, double began)
{
	double took = now() - began;
	printf("DN %s peer=%s bytes=%llu ms=%.0f MBps=%.1f ok\n", what, peer, bytes, took * 1e3,
	       (double)bytes / took / 1e6);
}

/* serve:PORT:BYTES[:SECS] */
STEP(do_serve)
{
	static uint8_t data[WORDS * WORD];
	struct sockaddr_in here = address("0.0.0.0", number(arg[0])), peer;
	socklen_t size = sizeof peer;
	u64 bytes = number(arg[1]), sent = 0;
	double deadline = now() + seconds(arg[2]);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 1) < 0)
		stop("FAIL", "serve errno=%d", errno);
	if (!wait_for_events(listener, POLLIN, deadline))
		stop("FAIL", "serve: nobody came");
	int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK);
	double began = now();
	printf("DN serves peer=%s\n", inet_ntoa(peer.sin_addr));
	while (sent < bytes) {
		u64 block = sent / sizeof data * sizeof data;
		size_t whole = bytes - block < sizeof data ? bytes - block : sizeof data;
		if (sent == block)
			fill_words(data, sizeof data, ntohs(here.sin_port), block / WORD);
		if (!wait_for_events(fd, POLLOUT, deadline))
			stop("FAIL", "serve: stuck at %llu of %llu", sent, bytes);
		ssize_t n = send(fd, data + (sent - block), whole - (sent - block), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			stop("FAIL", "serve errno=%d at %llu of %llu", errno, sent, bytes);
		sent += n > 0 ? (u64)n : 0;
	}
	shutdown(fd, SHUT_WR);
	/* It says the same word when all has come and was right. */
	char word[2];
	if (!wait_for_events(fd, POLLIN, deadline) || recv(fd, word, sizeof word, 0) != sizeof word
	    || memcmp(word, "ok", sizeof word) != 0)
		stop("FAIL", "serve: the other end did not say ok");
	show("serve", inet_ntoa(peer.sin_addr), bytes, began);
	close(fd);
	close(listener);
}

/* Connect, again and again while nobody listens yet. */
static int reach(const struct sockaddr_in *to, double deadline)
{
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0)
			return fd;
		if (errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != ETIMEDOUT)
			stop("FAIL", "fetch errno=%d", errno);
		if (now() > deadline)
			stop("FAIL", "fetch: nobody listens");
		close(fd);
		usleep(100000);
	}
}

/* fetch:IP:PORT:BYTES[:SECS] */
STEP(do_fetch)
{
	static uint8_t data[WORDS * WORD], right[WORDS * WORD];
	uint32_t port = number(arg[1]);
	struct sockaddr_in from = address(arg[0], port);
	u64 bytes = number(arg[2]), got = 0, told = 0;
	double deadline = now() + seconds(arg[3]);
	int fd = reach(&from, deadline);
	double began = now();

	printf("DN fetches peer=%s\n", arg[0]);
	for (;;) {
		u64 block = got / sizeof data * sizeof data;
		if (got == block)
			fill_words(right, sizeof right, port, block / WORD);
		if (got > told && got % TOLD == 0)
			printf("DN fetched bytes=%llu\n", told = got);
		if (!wait_for_events(fd, POLLIN, deadline))
			stop("FAIL", "fetch: stuck at %llu of %llu", got, bytes);
		ssize_t n = recv(fd, data, sizeof data - (got - block), 0);
		if (n < 0)
			stop("FAIL", "fetch errno=%d at %llu of %llu", errno, got, bytes);
		if (n == 0)
			break;
		if (memcmp(data, right + (got - block), (size_t)n) != 0)
			stop("FAIL", "fetch: other bytes than were sent, at %llu", got);
		got += (u64)n;
	}
	if (got != bytes)
		stop("FAIL", "fetch: %llu of %llu bytes", got, bytes);
	if (send(fd, "ok", 2, MSG_NOSIGNAL) != 2)
		stop("FAIL", "fetch: errno=%d at the end", errno);
	show("fetch", arg[0], bytes, began);
	close(fd);
}
