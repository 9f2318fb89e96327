"""Continues streams in a process of its own, for stream_laws.py.

Reads pickles (library, [(blob, [(frames, inputs), ...]), ...]) from its standard
input, and answers each by a list of the outputs of all calls and of finish.
"""

import os
import pickle
import subprocess
import sys

from stream_host import Model


class Worker:
    """The other end."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def run(self, library, jobs):
        pickle.dump((library, jobs), self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    while True:
        try:
            library, jobs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        session = Model(library).session()
        answers = []
        for blob, calls in jobs:
            session.load(blob)
            answers.append([session.feed(frames, values) for frames, values in calls] + [session.finish()])
        session.close()
        pickle.dump(answers, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
