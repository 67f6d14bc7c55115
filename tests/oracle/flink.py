"""Apache Flink as the oracle and the benches run it: its jars, and the command that starts a Java class over them."""

import os
import subprocess
import sys
from pathlib import Path

FLINK = "apache-flink-libraries==2.3.0"  # the jars of PyFlink, which it needs itself and we do not
INSTALLED = Path(os.environ.get("MILLSTREAM_PEERS", Path.home() / ".cache/millstream-peers")) / "flink"
# What Flink's own configuration asks of Java 17.
OPENED = "lang lang.reflect io net nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks".split()


def installed():
    done = INSTALLED / "installed"
    return done.exists() and done.read_text() == FLINK


def install():
    """Into $MILLSTREAM_PEERS/flink, about 330 MB over the network, unless it is there."""
    if installed():
        return
    print(f"installing {FLINK} into {INSTALLED}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", INSTALLED], check=True)
    subprocess.run([INSTALLED / "bin/pip", "install", "--quiet", "--no-deps", FLINK], check=True)
    (INSTALLED / "installed").write_text(FLINK)


def compiled(source, folder, memory):
    """Compiles a class into a folder; answers the command that runs it, to which its arguments are added."""
    [lib] = INSTALLED.glob("lib/python*/site-packages/pyflink/lib")
    classpath = f"{lib}/*:{folder}"
    subprocess.run(["javac", "-cp", classpath, "-d", folder, source], check=True)
    opened = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED]
    return ["java", f"-Xmx{memory}", f"-Djava.io.tmpdir={folder}", *opened, "-cp", classpath, Path(source).stem]
