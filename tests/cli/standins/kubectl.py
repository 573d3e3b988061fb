"""A kubectl that answers as recorded, and writes down what it was asked.

STANDIN names a folder: ``answers.json`` is a list of [words, answer]; the first one whose words are
all among the arguments serves. An answer has ``out``, ``err``, ``code``, and ``stay``: whether it
goes on until it is ended. ``asked.jsonl`` gets the arguments and the standard input of each call.
"""

import json
import os
import signal
import sys

folder = os.environ["STANDIN"]
arguments = sys.argv[1:]
stdin = sys.stdin.read() if "--filename=-" in arguments else ""
with open(f"{folder}/asked.jsonl", "a") as file:
    file.write(json.dumps({"arguments": arguments, "stdin": stdin}) + "\n")
with open(f"{folder}/answers.json") as file:
    answers = json.load(file)
for words, answer in answers:
    if all(word in arguments for word in words):
        sys.stdout.write(answer.get("out", ""))
        sys.stdout.flush()
        sys.stderr.write(answer.get("err", ""))
        sys.stderr.flush()
        if answer.get("stay"):
            signal.pause()
        sys.exit(answer.get("code", 0))
sys.exit(f"nobody said what to answer to {arguments}")
