#!/usr/bin/env python3
"""Runs a command at a terminal of its own and answers its questions.

Usage: answer.py QUESTION=ANSWER... -- COMMAND...

A question is a line that ends with ": "; the answer is that of the first QUESTION that is part of
it, or else nothing but the return key. What the command writes goes to standard output.
"""

import os
import pty
import sys


def main() -> int:
    split = sys.argv.index("--")
    answers = [text.split("=", 1) for text in sys.argv[1:split]]
    command = sys.argv[split + 1 :]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    line = ""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # Linux reports the end of a terminal in this way.
            break
        if not data:
            break
        text = data.decode(errors="replace")
        sys.stdout.write(text)
        sys.stdout.flush()
        line = (line + text).rsplit("\n", 1)[-1]
        if line.endswith(": "):
            answer = next((answer for question, answer in answers if question in line), "")
            os.write(terminal, (answer + "\r").encode())
            line = ""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


sys.exit(main())
