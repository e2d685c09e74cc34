"""`dvc pull` brings back what `dvc push` sent, also if either is interrupted and repeated."""

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
from conftest import commit, run
from in_process import dvc

from ajuste.repository import git, integrity, reset

pytestmark = pytest.mark.slow

OBJECT = re.compile(r"files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?$")  # not a temporary file


def check_whole(objects):
    """Check that the objects have the hashes that their names say."""
    for name, content in objects.items():
        digest = "".join(Path(name).parts[-2:]).removesuffix(".dir")
        assert hashlib.md5(content).hexdigest() == digest, name


def files(folder):
    """The objects in the cache of a clone, by name."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.glob("files/md5/??/*")}
    return {name: path.read_bytes() for name, path in paths.items() if OBJECT.search(name)}


class Server:
    """A server on a port of the loopback interface."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "server.log"
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]

    def start(self):
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(self.command(), stdout=log, stderr=log)
        while not self.answers():
            assert self.server.poll() is None, self.log.read_text()
            time.sleep(0.01)

    def stop(self):
        with suppress(psutil.NoSuchProcess):
            server = psutil.Process(self.server.pid)
            for process in [server, *server.children(recursive=True)]:
                process.kill()
        self.server.wait()

    def answers(self):
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Ssh(Server):
    """OpenSSH's server with its own keys, for the user who runs the tests."""

    def __init__(self, folder):
        super().__init__(folder)
        self.sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if not self.sshd:
            if "CI" in os.environ:
                pytest.fail("no sshd: install openssh-server")
            pytest.skip("no sshd: install openssh-server to run this test")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's sshd needs it
        for key in ("host", "user"):
            new = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(new, check=True)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
        )

    def command(self):
        return [self.sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def settings(self):
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.folder}/store"
        return {"url": url, "keyfile": str(self.folder / "user")}

    def objects(self):
        return files(self.folder / "store")


class S3(Server):
    """Moto's server. It keeps its objects in memory: if it is killed, they are lost."""

    def command(self):
        return [sys.executable, "-m", "moto.server", "--port", str(self.port)]

    def start(self):
        super().start()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.settings()["endpointurl"],
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        self.client.create_bucket(Bucket="bucket")

    def settings(self):
        keys = {"access_key_id": "any", "secret_access_key": "any"}
        return {"url": "s3://bucket", "endpointurl": f"http://127.0.0.1:{self.port}", **keys}

    def objects(self):
        with suppress(BotoCoreError, ClientError):  # while it is down
            listed = self.client.list_objects_v2(Bucket="bucket").get("Contents", [])
            names = [entry["Key"] for entry in listed if OBJECT.search(entry["Key"])]
            return {
                name: self.client.get_object(Bucket="bucket", Key=name)["Body"].read()
                for name in names
            }
        return {}


class Http(Server):
    """Python's web server. It only reads: objects are written to its folder."""

    def command(self):
        (self.folder / "store").mkdir(exist_ok=True)
        serve = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        return [*serve, "--directory", str(self.folder / "store")]

    def settings(self):
        return {"url": f"http://127.0.0.1:{self.port}"}


class Folder:
    """A plain folder, which needs no server."""

    def __init__(self, folder):
        self.folder = folder

    def start(self):
        pass

    stop = start

    def settings(self):
        return {"url": str(self.folder / "store")}


@pytest.fixture
def remote(request, tmp_path, monkeypatch):
    """A running server without objects."""
    folder = tmp_path / "remote"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))  # without the settings of the user
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = request.param(folder)
    found.start()
    yield found
    found.stop()


def configure(folder, url, **settings):
    dvc(folder, "remote", "add", "--local", "--default", "store", url)
    for name, value in settings.items():
        dvc(folder, "remote", "modify", "--local", "store", name, value)


def interrupt(command, cwd, arrived, stop):
    """Start a DVC command, and stop it or its server after the first object has arrived."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", command, "--jobs", "1"],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "AWS_MAX_ATTEMPTS": "1"},  # otherwise it tries each object for seconds
    )  # fmt: skip
    while process.poll() is None and not arrived():
        time.sleep(0.001)
    stop(process)
    printed = process.communicate()[0]
    assert process.returncode in (0, -9) or "ERROR" in printed


def check_pulled(clone, copy):
    check_whole(files(clone / ".dvc/cache"))
    outputs = integrity.recorded(copy)
    assert all((clone / output).exists() for output in outputs)
    assert not integrity.changed(clone, outputs)
    assert "Running" not in run("dvc", "repro", cwd=clone).stdout
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""


@pytest.mark.parametrize("remote", [Folder, Http], indirect=True)
def test_a_reader_pulls_what_a_maintainer_pushed_and_trains_nothing(
    copy, remote, tmp_path, capsys, monkeypatch
):
    dvc(copy, "remote", "add", "maintainers", str(remote.folder / "store"))
    dvc(copy, "remote", "add", "--default", "storage", remote.settings()["url"])
    commit(copy, "remotes")
    dvc(copy, "push", "--remote", "maintainers")
    clone = tmp_path / "clone"
    git.clone(copy, clone, "HEAD")
    dvc(clone, "pull")
    check_pulled(clone, copy)
    assert "data/model" in integrity.recorded(clone)

    dvc(clone, "exp", "run", "--quiet", "--set-param", "evaluate.score=f1")
    shutil.rmtree(clone / "data/model")
    shutil.rmtree(clone / ".dvc/cache")
    capsys.readouterr()
    reset.reset(clone, reset.ask)
    first, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"reset: outputs: \d from the remote storage, \d from Git", first)
    assert last.startswith("reset: params.yaml, results and model are those of commit")
    check_pulled(clone, copy)


@pytest.mark.long
@pytest.mark.parametrize("remote", [Ssh, S3], indirect=True)
@pytest.mark.parametrize("stopped", ["DVC", "server"])
def test_an_interrupted_push_and_pull_can_be_repeated(copy, remote, stopped, tmp_path):
    def stop(process):
        process.kill() if stopped == "DVC" else remote.stop()

    def go_on():
        if stopped == "server":
            remote.start()
        check_whole(remote.objects())
        dvc(copy, "push")

    clone = tmp_path / "clone"
    git.clone(copy, clone, "HEAD")
    for folder in (copy, clone):
        configure(folder, **remote.settings())
    interrupt("push", copy, remote.objects, stop)
    go_on()
    check_whole(remote.objects())
    cache = clone / ".dvc/cache"
    interrupt("pull", clone, lambda: files(cache), stop)
    check_whole(files(cache))
    go_on()
    dvc(clone, "pull")
    check_pulled(clone, copy)
