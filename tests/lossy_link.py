"""A link between two network namespaces of Linux, which delays every packet and loses some.

python lossy_link.py NAMESPACE ADDRESS NAMESPACE ADDRESS SECONDS SHARE

The namespaces stand for two hosts. Each gets a device `tun0`, whose packets this process carries to the other one,
until SIGTERM ends it; then it prints how many it carried and lost. SIGUSR1 cuts the link: all packets are lost.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
"""Of linux/if_tun.h and linux/sched.h."""
LONGEST = 65_536
seen = {"carried": 0, "lost": 0}


def device(namespace, address):
    """The file of a new device in a namespace, through which packets go out and come in."""
    with Path("/var/run/netns", namespace).open() as found:
        if ctypes.CDLL(None, use_errno=True).setns(found.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", b"tun0", IFF_TUN | IFF_NO_PI))
    for command in ("link set lo up", f"address add {address}/24 dev tun0", "link set tun0 up"):
        subprocess.run(["ip", *command.split()], check=True)
    return file


async def carry(files, delay, share):
    loop, drawn, ended = asyncio.get_running_loop(), random.Random(0), asyncio.Event()

    def take(file, other):
        packet = os.read(file, LONGEST)
        lost = drawn.random() < share
        seen["lost" if lost else "carried"] += 1
        if not lost:
            loop.call_later(delay, os.write, other, packet)

    def cut():
        nonlocal share
        share = 1

    for file, other in (files, files[::-1]):
        loop.add_reader(file, take, file, other)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, cut)
    print("ready", flush=True)
    await ended.wait()
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    *hosts, delay, share = sys.argv[1:]
    asyncio.run(carry([*map(device, hosts[::2], hosts[1::2])], float(delay), float(share)))
