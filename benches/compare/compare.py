#!/usr/bin/env python3
"""Whole builds with rbuild beside buildah, the Docker engine with its own builder and, where BUILDKIT_BIN names a folder
with buildkitd and buildctl, BuildKit by itself.

    compare.py --rbuild target/release/rbuild --state DIR [--rounds 5] [--scale 1.0] [SCENARIO...]

The tools take turns in every round, so that whatever else the machine does hits them alike; medians are compared. Inputs,
states and a registry (Debian's docker-registry) live below --state and are removed in the end. Runs as root, since buildah
needs it for overlay mounts. Peak memory is that of the largest process of a command, for BuildKit that of its daemon.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BASE_IMAGES = HERE.parent.parent / "testdata" / "base-images" / "make-base-images.sh"


class Failed(Exception):
    """A command of a tool did not succeed."""


# Until it is another program, a child is its parent, and the kernel counts that as the child's memory. So commands are started
# by a process that does nothing else and stays small, below what is worth measuring.
STARTER = """
import json, os, sys, time
QUIET = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)]
for line in sys.stdin:
    command, env = json.loads(line)
    begun = time.monotonic()
    child = os.posix_spawnp(command[0], command, env, file_actions=QUIET)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - begun
    print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 1024]), flush=True)
"""


class Starter:
    """Runs commands, one after the other; what they say goes to the log."""

    def __init__(self, log):
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", STARTER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )

    def run(self, command, env=None):
        """Gives a command's seconds and the peak memory in MB of the largest process in it."""
        command = [str(word) for word in command]
        env = {name: str(value) for name, value in (os.environ if env is None else env).items()}
        print(json.dumps([command, env]), file=self.process.stdin, flush=True)
        code, seconds, peak = json.loads(self.process.stdout.readline())
        if code != 0:
            raise Failed(f"{' '.join(command)}: exit status {code}")
        return seconds, peak

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Tool:
    """A builder with a state of its own."""

    name = ""

    def __init__(self, state, registry, log, starter):
        self.state = state / self.name
        self.state.mkdir(parents=True)
        self.registry = registry
        self.log = log
        self.starter = starter

    def call(self, *command, env=None):
        return self.starter.run(command, env=env)

    def close(self):
        shutil.rmtree(self.state, ignore_errors=True)

    def publish(self, context, tag, args, compression="gzip"):
        """Builds and pushes; gives the seconds of both."""
        built = self.build(context, tag, args)
        pushed = self.push(tag, compression)
        return built[0] + pushed[0], max(built[1], pushed[1])

    def build_for_engine(self, context, tag, args):
        """Builds an image that podman has in the end."""
        raise Failed(f"{self.name} is no way to podman here")


class Rbuild(Tool):
    name = "rbuild"

    def __init__(self, binary, *rest):
        super().__init__(*rest)
        self.binary = binary
        self.root = self.state / "root"

    def rbuild(self, *arguments):
        return self.call(self.binary, *arguments, env=os.environ | {"RBUILD_ROOT": str(self.root)})

    def build(self, context, tag, args):
        words = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
        return self.rbuild("build", "--progress=quiet", "-t", tag, *words, context)

    def push(self, tag, compression="gzip"):
        return self.rbuild("push", tag)

    def publish(self, context, tag, args, compression="gzip"):
        words = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
        output = f"type=registry,name={tag},compression={compression}"
        return self.rbuild("build", "--progress=quiet", "-o", output, *words, context)

    def build_for_engine(self, context, tag, args):
        with podman_service(self.state, self.log) as address:
            words = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
            environment = os.environ | {"RBUILD_ROOT": str(self.root), "DOCKER_HOST": address}
            return self.call(self.binary, "build", "--progress=quiet", "--load", "-t", tag, *words, context, env=environment)

    def pull(self, image):
        return self.rbuild("pull", image)

    def forget(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Buildah(Tool):
    name = "buildah"
    isolation = "oci"

    def buildah(self, *arguments):
        where = ["--root", self.state / "root", "--runroot", self.state / "run", "--storage-driver", "overlay"]
        return self.call("buildah", *where, *arguments)

    def build(self, context, tag, args):
        words = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
        options = ["--isolation", self.isolation, "--network", "host", "--layers", "--tls-verify=false", "--quiet"]
        try:
            return self.buildah("build", *options, "-t", tag, *words, context)
        except Failed:
            if self.isolation == "chroot":
                raise
            print("note: buildah cannot start containers here (its runtime, or cgroups): chroot isolation", file=sys.stderr)
            self.isolation = "chroot"
            return self.build(context, tag, args)

    def push(self, tag, compression="gzip"):
        return self.buildah("push", "--tls-verify=false", "--quiet", "--compression-format", compression, tag)

    def build_for_engine(self, context, tag, args):
        # What it builds is podman's already.
        return self.build(context, tag, args)

    def pull(self, image):
        return self.buildah("pull", "--tls-verify=false", "--quiet", image)

    def forget(self):
        # Its containers hold mounts: it has to let go of them itself.
        for command in (["rm", "--all"], ["rmi", "--all", "--force"]):
            with contextlib.suppress(Failed):
                self.buildah(*command)

    def close(self):
        self.forget()
        subprocess.run(["umount", "-q", self.state / "root" / "overlay"], check=False)
        super().close()


class BuildKit(Tool):
    name = "buildkit"

    def __init__(self, folder, *rest):
        super().__init__(*rest)
        self.folder = pathlib.Path(folder)
        self.address = f"unix://{self.state}/buildkitd.sock"
        config = self.state / "buildkitd.toml"
        config.write_text(f'[registry."{self.registry}"]\nhttp = true\n')
        path = f"{self.folder}:{os.environ['PATH']}"
        self.daemon = subprocess.Popen(
            [self.folder / "buildkitd", "--addr", self.address, "--root", self.state / "root", "--config", config],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=os.environ | {"PATH": path},
        )
        wait_until(lambda: (self.state / "buildkitd.sock").exists(), "buildkitd")

    def buildctl(self, *arguments):
        pathlib.Path(f"/proc/{self.daemon.pid}/clear_refs").write_text("5")
        seconds, _ = self.call(self.folder / "buildctl", "--addr", self.address, *arguments)
        status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return seconds, int(peak.split()[1]) / 1024

    def build(self, context, tag, args, output=""):
        words = [word for key, value in args.items() for word in ("--opt", f"build-arg:{key}={value}")]
        self.last = (context, args)
        return self.buildctl(
            "build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", f"context={context}",
            "--local", f"dockerfile={context}", "--output", f"type=image,name={tag}{output}", *words,
        )

    def push(self, tag, compression="gzip"):
        return self.build(*self.last[:1], tag, self.last[1], f",push=true,compression={compression}")

    def publish(self, context, tag, args, compression="gzip"):
        return self.build(context, tag, args, f",push=true,compression={compression}")

    def pull(self, image):
        context = self.state / "pull"
        context.mkdir(exist_ok=True)
        # It pulls lazily: a step has to need the files.
        (context / "Dockerfile").write_text(f"FROM {image}\nRUN true\n")
        return self.build(context, "bench-pull", {})

    def forget(self):
        self.buildctl("prune", "--all")

    def close(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()
        super().close()


class Docker(Tool):
    """A Docker engine of our own, building with the builder that needs no plugin."""

    name = "docker"

    def __init__(self, *rest):
        super().__init__(*rest)
        self.host = f"unix://{self.state}/docker.sock"
        self.daemon = subprocess.Popen(
            [
                # Its mounts go with it.
                "unshare", "--mount", "dockerd", "--host", self.host, "--data-root", self.state / "data",
                "--exec-root", self.state / "exec", "--pidfile", self.state / "pid", "--bridge", "none",
                "--iptables=false", "--insecure-registry", self.registry,
            ],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        wait_until(self.answers, "dockerd")

    def answers(self):
        command = ["docker", "--host", self.host, "version"]
        return subprocess.run(command, stdout=self.log, stderr=self.log, check=False).returncode == 0

    def docker(self, *arguments):
        pathlib.Path(f"/proc/{self.daemon.pid}/clear_refs").write_text("5")
        environment = os.environ | {"DOCKER_BUILDKIT": "0"}
        seconds, _ = self.call("docker", "--host", self.host, *arguments, env=environment)
        status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return seconds, int(peak.split()[1]) / 1024

    def build(self, context, tag, args):
        words = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
        return self.docker("build", "--network", "host", "--quiet", "-t", tag, *words, context)

    def push(self, tag, compression="gzip"):
        if compression != "gzip":
            raise Failed("it compresses with gzip alone")
        return self.docker("push", "--quiet", tag)

    def pull(self, image):
        return self.docker("pull", "--quiet", image)

    def forget(self):
        self.docker("system", "prune", "--all", "--force")

    def close(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()
        super().close()


class Skopeo(Tool):
    """Builds nothing: it copies what rbuild wrote as an OCI layout, and that alone is measured."""

    name = "skopeo"

    def __init__(self, binary, *rest):
        super().__init__(*rest)
        self.binary = binary
        self.layout = self.state / "layout"

    def build(self, context, tag, args):
        words = [word for key, value in args.items() for word in ("--build-arg", f"{key}={value}")]
        shutil.rmtree(self.layout, ignore_errors=True)
        output = f"type=oci,tar=false,compression=uncompressed,dest={self.layout}"
        self.call(
            self.binary, "build", "--progress=quiet", "-o", output, *words, context,
            env=os.environ | {"RBUILD_ROOT": str(self.state / "root")},
        )
        return 0.0, 0.0

    def push(self, tag, compression="gzip"):
        return self.call(
            "skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--dest-compress-format", compression,
            f"oci:{self.layout}:latest", f"docker://{tag}",
        )

    def pull(self, image):
        return self.call("skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{image}", f"oci:{self.state}/pulled")

    def forget(self):
        for folder in ("layout", "pulled", "root"):
            shutil.rmtree(self.state / folder, ignore_errors=True)


@contextlib.contextmanager
def podman_service(state, log):
    """Podman's Docker interface with a storage of its own; gives its address."""
    path = state / "podman.sock"
    where = ["--root", state / "podman", "--runroot", state / "podman-run", "--storage-driver", "overlay"]
    process = subprocess.Popen(
        ["podman", *map(str, where), "system", "service", "--time", "0", f"unix://{path}"], stdout=log, stderr=log
    )
    try:
        wait_until(path.exists, "podman")
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait()
        path.unlink(missing_ok=True)


def wait_until(holds, what):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    sys.exit(f"error: {what} does not start")


@contextlib.contextmanager
def registry(state, log):
    """Debian's docker-registry on a free port; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = state / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {state}/registry}}, delete: {{enabled: true}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}"}}\n'
    )
    process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, "docker-registry")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


class Inputs:
    """Build contexts, made when they are first needed."""

    def __init__(self, state, address, scale):
        self.state = state / "contexts"
        self.base = f"{address}/busybox:latest"
        self.address = address
        self.scale = scale
        self.serial = 0

    def fresh(self):
        """A value that no build has seen."""
        self.serial += 1
        return f"{os.getpid()}-{self.serial}"

    def context(self, name, dockerfile, fill=None):
        folder = self.state / name
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "Dockerfile").write_text(f"FROM {self.base}\nARG FRESH\n{dockerfile}\n")
            if fill:
                fill(folder)
        return folder

    def count(self, number):
        return max(1, int(number * self.scale))

    def many_files(self, folder):
        """50,000 files, 400 MB."""
        total = self.count(50_000)
        block = os.urandom(1 << 20)
        for at in range(total):
            directory = folder / "data" / f"d{at // 200:03}"
            if at % 200 == 0:
                directory.mkdir(parents=True)
            begin = at % (len(block) - 8192)
            (directory / f"f{at}").write_bytes(block[begin:begin + 8192])

    def real_file(self, folder):
        """1 GB of what images are made of: this machine's programs and texts."""
        left = self.count(1024) << 20
        with open(folder / "big", "wb") as file:
            file.write(b" " * 64)
            while left > 0:
                before = left
                for directory, _, names in os.walk("/usr"):
                    for name in names:
                        path = pathlib.Path(directory, name)
                        if left > 0 and path.is_file() and not path.is_symlink():
                            left -= file.write(path.read_bytes()[:left])
                if left == before:
                    left -= file.write(os.urandom(1 << 20))

    def big_file(self, folder):
        """1 GB that does not compress."""
        with open(folder / "big", "wb") as file:
            for _ in range(self.count(1024)):
                file.write(os.urandom(1 << 20))


# Each scenario makes what one measured command needs and returns that command: scenario(tool, inputs) -> () -> (s, MB).

def nothing_to_do(tool, inputs):
    context = inputs.context("small", "COPY . /src\nRUN true", lambda f: (f / "file").write_text("x"))
    tool.build(context, "bench-small", {})
    return lambda: tool.build(context, "bench-small", {})


def nothing_to_do_among_many_files(tool, inputs):
    context = inputs.context("many", "COPY data /data", inputs.many_files)
    tool.build(context, "bench-many", {})
    return lambda: tool.build(context, "bench-many", {})


def one_file_changed_among_many(tool, inputs):
    context = inputs.context("many", "COPY data /data", inputs.many_files)
    tool.build(context, "bench-many", {})
    (context / "data" / "d000" / "f7").write_text(inputs.fresh())
    return lambda: tool.build(context, "bench-many", {})


def fifty_runs(tool, inputs):
    context = inputs.context("fifty", "RUN echo $FRESH\n" + "RUN true\n" * 50)
    tool.build(context, "bench-fifty", {"FRESH": "0"})
    return lambda: tool.build(context, "bench-fifty", {"FRESH": inputs.fresh()})


def eight_stages(tool, inputs):
    stages = "".join(
        f"FROM {inputs.base} AS s{n}\nARG FRESH\nRUN sleep 2; echo $FRESH {n} > /out\n" for n in range(8)
    )
    joined = "".join(f"COPY --from=s{n} /out /out{n}\n" for n in range(8))
    context = inputs.context("eight", f"{stages}FROM {inputs.base}\n{joined}")
    tool.build(context, "bench-eight", {"FRESH": "0"})
    return lambda: tool.build(context, "bench-eight", {"FRESH": inputs.fresh()})


def run_writes_a_gigabyte(tool, inputs):
    size = inputs.count(1024)
    context = inputs.context("gigabyte", f"RUN dd if=/dev/urandom of=/big bs=1M count={size}; echo $FRESH > /x")
    return lambda: tool.build(context, "bench-gigabyte", {"FRESH": inputs.fresh()})


def copy_a_gigabyte(tool, inputs):
    context = inputs.context("copy", "COPY big /big", inputs.big_file)
    with open(context / "big", "r+b") as file:
        file.write(inputs.fresh().encode())
    return lambda: tool.build(context, "bench-copy", {})


def run_writes_many_files(tool, inputs):
    number = inputs.count(100_000)
    script = f"mkdir /d; cd /d; i=0; while [ $i -lt {number} ]; do echo $i > $i; i=$((i+1)); done; echo $FRESH > /x"
    context = inputs.context("files", f"RUN {script}")
    return lambda: tool.build(context, "bench-files", {"FRESH": inputs.fresh()})


def many_layers(inputs, folder):
    for layer in range(20):
        with open(folder / f"part{layer}", "wb") as file:
            for _ in range(inputs.count(8)):
                file.write(os.urandom(1 << 20))


def pull_many_layers(tool, inputs):
    image = f"{inputs.address}/layers:latest"
    copies = "".join(f"COPY part{layer} /part{layer}\n" for layer in range(20))
    context = inputs.context("layers", copies, lambda folder: many_layers(inputs, folder))
    pushed = context.with_suffix(".pushed")
    if not pushed.exists():
        tool.build(context, image, {})
        tool.push(image)
        pushed.touch()
    tool.forget()
    return lambda: tool.pull(image)


def push_a_new_layer(tool, inputs):
    tag = f"{inputs.address}/push-{tool.name}:latest"
    size = inputs.count(200)
    context = inputs.context("push", f"RUN dd if=/dev/urandom of=/big bs=1M count={size}; echo $FRESH > /x")
    tool.build(context, tag, {"FRESH": inputs.fresh()})
    return lambda: tool.push(tag)


def ten_layers(inputs, folder):
    inputs.real_file(folder)
    size = max(1 << 20, (folder / "big").stat().st_size // 20)
    with open(folder / "big", "rb") as big:
        for layer in range(10):
            (folder / f"part{layer}").write_bytes(big.read(size))
    (folder / "big").unlink()


def pull_ten_layers(tool, inputs):
    image = f"{inputs.address}/ten:latest"
    copies = "".join(f"COPY part{layer} /part{layer}\n" for layer in range(10))
    context = inputs.context("ten", copies, lambda folder: ten_layers(inputs, folder))
    pushed = context.with_suffix(".pushed")
    if not pushed.exists():
        tool.publish(context, image, {})
        pushed.touch()
    tool.forget()
    return lambda: tool.pull(image)


def push_a_gigabyte(compression):
    def scenario(tool, inputs):
        tag = f"{inputs.address}/push-{compression}-{tool.name}:latest"
        context = inputs.context("gigabyte-file", "COPY big /big", inputs.real_file)
        with open(context / "big", "r+b") as file:
            file.write(inputs.fresh().encode())
        return lambda: tool.publish(context, tag, {}, compression)
    return scenario


def deep_context(inputs, folder):
    inputs.big_file(folder)
    os.truncate(folder / "big", inputs.count(200) << 20)


def push_after_a_change(tool, inputs):
    tag = f"{inputs.address}/change-{tool.name}:latest"
    context = inputs.context("change", "COPY big /big\nCOPY app /app", lambda folder: deep_context(inputs, folder))
    (context / "app").write_text(inputs.fresh())
    tool.publish(context, tag, {})
    (context / "app").write_text(inputs.fresh())
    return lambda: tool.publish(context, tag, {})


def load_a_gigabyte(tool, inputs):
    context = inputs.context("gigabyte-file", "COPY big /big", inputs.real_file)
    with open(context / "big", "r+b") as file:
        file.write(inputs.fresh().encode())
    return lambda: tool.build_for_engine(context, "localhost/bench-load:latest", {})


SCENARIOS = {
    "nothing-small": nothing_to_do,
    "nothing-50k": nothing_to_do_among_many_files,
    "one-of-50k": one_file_changed_among_many,
    "run-true-50": fifty_runs,
    "eight-sleeps": eight_stages,
    "run-1g": run_writes_a_gigabyte,
    "copy-1g": copy_a_gigabyte,
    "run-100k-files": run_writes_many_files,
    "pull-20-layers": pull_many_layers,
    "push-200m": push_a_new_layer,
    "pull-10-layers": pull_ten_layers,
    "push-1g-gzip": push_a_gigabyte("gzip"),
    "push-1g-zstd": push_a_gigabyte("zstd"),
    "push-one-file": push_after_a_change,
    "load-1g": load_a_gigabyte,
}


def measure(name, tools, inputs, rounds):
    """Medians by tool: {name: (seconds, MB)}. A tool that fails is left out, and said so."""
    results = {tool.name: [] for tool in tools}
    for tool in tools:
        # What earlier scenarios left makes some tools slower.
        tool.forget()
    for _ in range(rounds):
        for tool in tools:
            if results[tool.name] is None:
                continue
            try:
                command = SCENARIOS[name](tool, inputs)
                os.sync()
                results[tool.name].append(command())
            except Failed as error:
                print(f"note: {name}: {tool.name} left out: {error}", file=sys.stderr)
                results[tool.name] = None
    return {
        tool: tuple(statistics.median(column) for column in zip(*measured))
        for tool, measured in results.items()
        if measured
    }


def report(name, medians):
    ours = medians.get("rbuild")
    cells = [f"{name:<16}"]
    for tool, (seconds, peak) in medians.items():
        ratio = f" ({seconds / ours[0]:.1f}x)" if ours and tool != "rbuild" else ""
        cells.append(f"{tool} {seconds:.3f} s{ratio} {peak:.0f} MB")
    print("  |  ".join(cells), flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rbuild", required=True, type=pathlib.Path)
    parser.add_argument("--state", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes and numbers of files")
    parser.add_argument("--images", type=pathlib.Path, help="where base images are kept; default STATE/images")
    parser.add_argument("--without", action="append", default=[], metavar="TOOL", help="leave buildah, skopeo or docker out")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options = parser.parse_args()
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return options


def main():
    options = arguments()
    options.state.mkdir(parents=True, exist_ok=True)
    images = (options.images or options.state / "images").resolve()
    work = pathlib.Path(tempfile.mkdtemp(prefix="compare-", dir=options.state.resolve()))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        log_path = options.state / "compare.log"
        log = stack.enter_context(open(log_path, "w"))
        print(f"log: {log_path}", file=sys.stderr)
        starter = stack.enter_context(contextlib.closing(Starter(log)))
        address = stack.enter_context(registry(work, log))
        starter.run([BASE_IMAGES, "--out", images, "--push", address, "busybox:latest"])
        common = (work, address, log, starter)
        tools = [Rbuild(options.rbuild.resolve(), *common)]
        if shutil.which("buildah") and "buildah" not in options.without:
            tools.append(Buildah(*common))
        if shutil.which("skopeo") and "skopeo" not in options.without:
            tools.append(Skopeo(options.rbuild.resolve(), *common))
        if shutil.which("dockerd") and "docker" not in options.without:
            tools.append(Docker(*common))
        if folder := os.environ.get("BUILDKIT_BIN"):
            tools.append(BuildKit(folder, *common))
        for tool in tools:
            stack.callback(tool.close)
        inputs = Inputs(work, address, options.scale)
        for name in options.scenarios or SCENARIOS:
            report(name, measure(name, tools, inputs, options.rounds))


if __name__ == "__main__":
    main()
