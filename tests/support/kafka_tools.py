"""Runs a shell script of Kafka's own tools against a broker, as a platform team would, but with one Java for all of it.

Imports nothing of plaint's.
"""

import os
import subprocess
from pathlib import Path

from tests.support.kafka_process import kafka_home

TOOLS = ("kafka-topics.sh", "kafka-acls.sh")
_NOTE = """#!/bin/sh
{ printf %s "${0##*/}"; for word in "$@"; do printf '\\t%s' "$word"; done; echo; } >> "$COMMANDS"
"""
"""Stands in for each tool while the shell reads the script: notes what it would have been called with."""


def run_script(script: str, bootstrap: str, folder: Path) -> str:
    """What the tools said. Fails if the shell or one of the commands does. Needs a JDK, not only a JRE."""
    commands, tools = folder / "commands", folder / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    commands.unlink(missing_ok=True)
    for name in TOOLS:
        (tools / name).write_text(_NOTE)
        (tools / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    environment |= {"BOOTSTRAP": bootstrap, "COMMANDS": str(commands)}
    subprocess.run(["sh"], input=script, text=True, env=environment, check=True, timeout=60)
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(kafka_home() / "libs" / "*")]
    source = Path(__file__).with_name("KafkaTools.java")
    done = subprocess.run([*java, str(source), str(commands)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout
