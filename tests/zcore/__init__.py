"""
Real zCores on distnet: C{make test-zcore ZCORE=DIR}, not a part of C{make test}.

DIR has a zCore for riscv64, as built by its project:

  - C{zcore.bin}, the kernel, unchanged;
  - C{riscv64.img} or C{riscv64.img.gz}, its disk, with C{/bin/dsh} and C{/bin/dshw} on it.

C{dsh} is a shell of a few words for the console, and prints C{DSH READY} when it listens: C{mkdir
PATH}, C{ls DIR}, C{put PATH TEXT}, C{cat PATH}, C{serve PORT}, C{call A.B.C.D:PORT TEXT} (one
exchange over TCP, the answer being the question). Each answers one line: C{MKDIR PATH
0}, C{LS DIR: NAME...}, C{PUT PATH BYTES}, C{CAT PATH BYTES [TEXT]}, C{LISTEN PORT 0} and C{SERVE
PORT BYTES [TEXT]}, C{CALL A.B.C.D:PORT BYTES [TEXT]}. C{dsh} looks for input in a loop, C{dshw}
waits for it: the first works more often over guestfwd and with TCP, the second elsewhere.
"""
