#!/usr/bin/env python3
"""Runs a program beside a cluster of three replicas on this machine.

    cluster.py [--base-port N] [--through newer|event|stripping] -- COMMAND ...

Without a port the first free ones are taken.

The program finds the replicas in CAUSEWAY_1, CAUSEWAY_2 and CAUSEWAY_3. Every line that it writes
to standard output is printed; the lines `kill N` and `start N` are carried out as well, and
answered on its standard input when they are done. Exits as the program does.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from shim import in_front_of  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
REPLICAS = 3


class Cluster:
    """A cluster of `causeway-server dev`, with its data in a folder of its own."""

    def __init__(self, base_port=None, replicas=REPLICAS):
        base_port = base_port or free_base_port(replicas)
        self.urls = [f"http://127.0.0.1:{base_port + n}" for n in range(1, replicas + 1)]
        self.data = tempfile.mkdtemp(prefix="causeway-trial-")
        server = os.environ.get("CAUSEWAY_SERVER", str(ROOT / "target/debug/causeway-server"))
        command = [server, "dev", "--replicas", str(replicas), "--base-port", str(base_port)]
        self.log = open(Path(self.data) / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [*command, "--data", f"{self.data}/replicas"],
            stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, text=True, bufsize=1,
        )
        for url in self.urls:
            self.await_ready(url)

    def await_ready(self, url, within=120):
        deadline = time.monotonic() + within
        while not answers(f"{url}/readyz"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"no cluster: {Path(self.log.name).read_text(encoding='utf-8')}")
            time.sleep(0.1)

    def tell(self, line):
        """Carries out `kill N` or `start N`, and waits until it is done."""
        word, number = line.split()
        url = self.urls[int(number) - 1]
        self.process.stdin.write(line + "\n")
        if word == "start":
            self.await_ready(url)
        while word == "kill" and answers(f"{url}/healthz"):
            time.sleep(0.02)

    def stop(self):
        self.process.stdin.write("quit\n")
        self.process.wait(timeout=60)
        shutil.rmtree(self.data, ignore_errors=True)

    def environment(self, through=None):
        urls = [in_front_of(url, through) if through else url for url in self.urls]
        named = {f"CAUSEWAY_{number}": url for number, url in enumerate(urls, 1)}
        return {**os.environ, **named}

    def run(self, command, through=None):
        """Runs a program beside the cluster; returns its exit code."""
        program = subprocess.Popen(
            command, env=self.environment(through), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1,
        )
        for line in program.stdout:
            print(line, end="", flush=True)
            if line.split()[:1] in (["kill"], ["start"]):
                self.tell(line.strip())
                program.stdin.write("done\n")
        return program.wait()


def free_base_port(replicas):
    """The first base port at which each replica finds its two ports free: see `dev --help`."""
    for base in range(21000, 60000, 100):
        ports = [base + offset + n for offset in (0, -1000) for n in range(1, replicas + 1)]
        if all(is_free(port) for port in ports):
            return base
    sys.exit("no free ports")


def is_free(port):
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-port", type=int)
    parser.add_argument("--through", choices=["newer", "event", "stripping"], help="see shim.py")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    cluster = Cluster(arguments.base_port)
    try:
        return cluster.run(arguments.command, arguments.through)
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
