"""What `dvc push` sends comes back whole by `dvc pull`, whatever breaks off in between."""

import getpass
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import run

from ajuste.repository import integrity

pytestmark = pytest.mark.slow

OBJECT = re.compile(r"files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?$")  # whole, as others see it


def digests(contents):
    """See that the objects are what their names say; their names."""
    for name, content in contents.items():
        digest = "".join(Path(name).parts[-2:]).removesuffix(".dir")
        assert hashlib.md5(content).hexdigest() == digest, name
    return set(contents)


def files(folder):
    """The objects in a folder, by their names."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.glob("files/md5/??/*")}
    return {name: path.read_bytes() for name, path in paths.items() if OBJECT.search(name)}


def until(true, still_running, seconds=60):
    """Wait for something, as long as something else goes on."""
    end = time.monotonic() + seconds
    while still_running() and not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Local:
    """A folder."""

    server = None

    def __init__(self, folder):
        self.store = folder / "store"

    def settings(self):
        return {"url": str(self.store)}

    def objects(self):
        return files(self.store)

    def empty(self):
        shutil.rmtree(self.store, ignore_errors=True)

    def start(self):
        pass

    def stop(self):
        pass


class Served(Local):
    """A server on a port of loopback."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        self.log = folder / "server.log"

    def start(self):
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(self.command(), stdout=log, stderr=log)
        until(self.answers, lambda: self.server.poll() is None)
        assert self.server.poll() is None, self.log.read_text()

    def stop(self):
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(self.server.pid)
            for process in [server, *server.children(recursive=True)]:
                process.kill()
        self.server.wait()

    def answers(self):
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as talk:
            return self.greets(talk)
        return False


class Ssh(Served):
    """OpenSSH's server, with keys of its own, for the user who runs the tests."""

    def __init__(self, folder):
        super().__init__(folder)
        self.sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if not self.sshd:
            if "CI" in os.environ:
                pytest.fail("no sshd: install openssh-server")
            pytest.skip("no sshd here; install openssh-server to run this")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # which root's must have
        for key in ("host", "user"):
            new = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(new, check=True)
        self.key = folder / "user"
        self.config = folder / "sshd_config"
        self.config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
        )

    def command(self):
        return [self.sshd, "-D", "-e", "-f", str(self.config)]

    def greets(self, talk):
        return talk.recv(4) == b"SSH-"

    def settings(self):
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.store}"
        return {"url": url, "keyfile": str(self.key)}


class S3(Served):
    """Moto's server. It keeps what it has in memory: killed, it has lost everything."""

    def command(self):
        return [sys.executable, "-m", "moto.server", "--port", str(self.port)]

    def greets(self, talk):
        return True

    def start(self):
        super().start()
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        self.client = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", **keys
        )
        self.client.create_bucket(Bucket="bucket")

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def settings(self):
        keys = {"access_key_id": "any", "secret_access_key": "any"}
        return {"url": "s3://bucket", "endpointurl": self.endpoint, **keys}

    def objects(self):
        with suppress(BotoCoreError, ClientError):  # while it is down
            listed = self.client.list_objects_v2(Bucket="bucket").get("Contents", [])
            return {entry["Key"]: self.read(entry["Key"]) for entry in listed}
        return {}

    def read(self, name):
        return self.client.get_object(Bucket="bucket", Key=name)["Body"].read()

    def empty(self):
        for name in self.objects():
            self.client.delete_object(Bucket="bucket", Key=name)


@pytest.fixture
def remote(request, tmp_path, monkeypatch):
    """A remote that is there and empty."""
    folder = tmp_path / "remote"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))  # no settings of whoever runs the tests
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = request.param(folder)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def whole(copy, tmp_path):
    """The names of the objects that a push sends which nothing disturbs."""
    run("dvc", "remote", "add", "--local", "whole", str(tmp_path / "whole"), cwd=copy)
    run("dvc", "push", "--remote", "whole", cwd=copy)
    return digests(files(tmp_path / "whole"))


def configure(folder, remote):
    run(
        "dvc",
        "remote",
        "add",
        "--local",
        "--default",
        "store",
        remote.settings()["url"],
        cwd=folder,
    )
    for name, value in remote.settings().items():
        run("dvc", "remote", "modify", "--local", "store", name, value, cwd=folder)


def interrupt(command, cwd, arrived, stop):
    """Begin a command of DVC, and stop it, or its server, once something has arrived."""
    dvc = subprocess.Popen(
        [sys.executable, "-m", "dvc", command, "--jobs", "1"],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "AWS_MAX_ATTEMPTS": "1"},  # else each object is tried for seconds
    )  # fmt: skip
    until(arrived, lambda: dvc.poll() is None)
    stop(dvc)
    said = dvc.communicate(timeout=300)[0]
    assert dvc.returncode
    return said


REMOTES = pytest.mark.parametrize("remote", [Local, Ssh, S3], indirect=True)
SERVED = pytest.mark.parametrize("remote", [Ssh, S3], indirect=True)


def fresh_clone(copy, remote):
    clone = copy.parent / "clone"
    run("git", "clone", "--quiet", str(copy), str(clone), cwd=copy)
    configure(clone, remote)
    return clone


def check_pulled(clone, copy, whole):
    assert digests(files(clone / ".dvc/cache")) >= whole
    assert not integrity.changed(clone, integrity.recorded(copy))
    assert "Running" not in run("dvc", "repro", cwd=clone).stdout
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""


@REMOTES
def test_killed_and_repeated_push_and_pull_lose_nothing(copy, remote, whole):
    configure(copy, remote)
    for _ in range(5):  # until it is killed in the middle
        remote.empty()
        interrupt("push", copy, remote.objects, lambda dvc: dvc.kill())
        sent = digests(remote.objects())
        if sent < whole:
            break
    assert set() < sent < whole
    run("dvc", "push", cwd=copy)
    assert digests(remote.objects()) == whole

    clone = fresh_clone(copy, remote)
    cache = clone / ".dvc/cache"
    for _ in range(5):
        shutil.rmtree(cache, ignore_errors=True)
        interrupt("pull", clone, lambda: files(cache), lambda dvc: dvc.kill())
        got = digests(files(cache))
        if got < whole:
            break
    assert set() < got < whole
    run("dvc", "pull", cwd=clone)
    check_pulled(clone, copy, whole)


@SERVED
def test_a_server_that_goes_away_is_told_and_loses_nothing(copy, remote, whole):
    configure(copy, remote)
    said = interrupt("push", copy, remote.objects, lambda dvc: remote.stop())
    assert "ERROR" in said
    remote.start()
    digests(remote.objects())
    run("dvc", "push", cwd=copy)
    assert digests(remote.objects()) == whole

    clone = fresh_clone(copy, remote)
    cache = clone / ".dvc/cache"
    said = interrupt("pull", clone, lambda: files(cache), lambda dvc: remote.stop())
    assert "ERROR" in said
    digests(files(cache))
    remote.start()
    run("dvc", "push", cwd=copy)  # what a server of S3 that keeps nothing has lost
    run("dvc", "pull", cwd=clone)
    check_pulled(clone, copy, whole)
