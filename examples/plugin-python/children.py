"""An engine whose atoms are child processes, which end with it."""

import asyncio
import fcntl
import math
import os
import re
import secrets
import subprocess
import threading
import time

from atomrouter.engine.v1 import engine_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

import atomplugin
import spool
from atomplugin import Refused, log

STOP_SECONDS = 10  # the grace of a Stop where nothing names one
PIPE_SECONDS = 1  # how long after a job's end its children may keep its pipes
CAPABILITIES = ["exact_bytes", "log_times", "log_streams", "logs_after_kill", "stop_escalation", "delete", "lookup"]


def describe():
    return pb.DescribeResponse(
        name="python", version="0.1.0", protocol_minor=0, capabilities=CAPABILITIES,
        schema=pb.Schema(attributes=[pb.Attribute(
            name="dir", type='"string"', default="/", doc="where atoms without a working directory start",
        )]),
    )


class Engine:
    def __init__(self, config):
        self.dir = config.get("dir", "/")
        self.by_id = {}
        self.by_key = {}  # by owner and key
        self.last = 0  # the youngest created_at
        log.info("atoms are children of this process", extra={"fields": {"dir": self.dir}})

    async def close(self):
        for job in self.by_id.values():
            job.signal(force=True)

    def find(self, request):
        job = self.by_id.get(request.id)
        if job is None or job.owner != owner_of(request):
            raise Refused(StatusCode.NOT_FOUND, f"no atom {request.id!r}")
        return job

    async def probe(self, request):
        return pb.ProbeResponse(capabilities=CAPABILITIES)

    async def create(self, request):
        refuse_what_we_lack(request)
        key = (owner_of(request), request.key or secrets.token_hex())
        if job := self.by_key.get(key):
            if same(job.request) != same(request):
                raise Refused(StatusCode.ALREADY_EXISTS, f"key {request.key!r} belongs to atom {job.id}, which was made by another request")
            return pb.CreateResponse(atom=job.atom())
        # No two have the same time, so that who lists from one on misses none.
        self.last = max(time.time_ns(), self.last + 1)
        try:
            job = Job(request, self.last, self.dir)
        except OSError as error:
            raise Refused(StatusCode.INVALID_ARGUMENT, f"it cannot be started: {error}", field="command") from error
        job.key = key
        self.by_id[job.id] = self.by_key[key] = job
        return pb.CreateResponse(atom=job.atom())

    async def lookup(self, request):
        job = self.by_key.get((owner_of(request), request.key))
        if job is None:
            raise Refused(StatusCode.NOT_FOUND, f"no atom under key {request.key!r}")
        return pb.LookupResponse(atom=job.atom())

    async def get(self, request):
        return pb.GetResponse(atom=self.find(request).atom())

    async def list(self, request):
        since = nanoseconds(request.since) if request.HasField("since") else 0
        before = nanoseconds(request.before) if request.HasField("before") else math.inf
        # by_id is in the order of creation.
        atoms = [job.atom() for job in self.by_id.values() if job.owner == owner_of(request) and since <= job.created < before]
        for at in range(0, len(atoms), 256):
            yield pb.ListResponse(atoms=atoms[at:at + 256])

    async def wait(self, request):
        job = self.find(request)
        await job.ended.wait()
        return pb.WaitResponse(atom=job.atom())

    async def stop(self, request):
        job = self.find(request)
        if not job.ended.is_set():
            job.stopping = True
            job.signal(request.force)
            grace = seconds(request.timeout) or seconds(job.request.spec.stop_timeout) or STOP_SECONDS
            # It runs out whether or not the caller is still there then.
            asyncio.get_running_loop().call_later(0 if request.force else math.ceil(grace), job.signal, True)
            await job.ended.wait()
        return pb.StopResponse()

    async def delete(self, request):
        job = self.find(request)
        if not job.ended.is_set():
            if not request.force:
                raise Refused(StatusCode.FAILED_PRECONDITION, f"atom {job.id} is running: stop it first, or use force")
            job.signal(force=True)
            await job.ended.wait()
        self.by_id.pop(job.id, None)
        self.by_key.pop(job.key, None)
        return pb.DeleteResponse()

    def logs(self, request):
        output = self.find(request).output
        if request.stream not in pb.Stream.values():
            raise Refused(StatusCode.INVALID_ARGUMENT, f"{request.stream} is no stream of this protocol", field="stream")
        if request.tail < -1:
            raise Refused(StatusCode.INVALID_ARGUMENT, f"{request.tail} is no number of lines", field="tail")
        since = nanoseconds(request.since) if request.HasField("since") else 0
        line, at = 0, output.first

        def wants(entry):
            return request.stream in (0, entry.stream) and entry.time >= since and entry.line >= line

        if request.cursor:
            if not re.fullmatch("[0-9]{1,18}", request.cursor) or not 0 < int(request.cursor) <= len(output):
                raise Refused(StatusCode.INVALID_ARGUMENT, f"{request.cursor!r} is not of this atom", field="cursor")
            at = int(request.cursor)
        elif request.tail == -1:
            at = len(output)
        elif request.tail > 0:
            line = output.tail(request.tail, wants)
        return chunks(output.read(at, len(output) if request.no_follow else None, wants), request.timestamps)


async def chunks(batches, timestamps):
    try:
        async for batch in batches:
            response = pb.LogsResponse()
            for number, entry in batch:
                last = response.chunks[-1] if response.chunks else None
                if last is None or timestamps or last.stream != entry.stream:
                    last = response.chunks.add(stream=entry.stream, time=timestamp(entry.time))
                last.data += entry.data
                last.cursor = str(number)
            yield response
    except spool.Lost:
        raise Refused(StatusCode.DATA_LOSS, f"the last {spool.LIMIT} bytes of a log are kept, and what comes next here was dropped") from None


class Job:
    """An atom, and its process."""

    def __init__(self, request, created, directory):
        self.request = request
        self.owner = owner_of(request)
        self.id = "child-" + secrets.token_hex(12)
        self.created = created
        self.stopped = 0
        self.stopping = False
        self.output = spool.Spool()
        self.ended = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        spec = request.spec
        self.process = subprocess.Popen(
            [*spec.entrypoint, *request.command], cwd=spec.workdir or directory, env={"PATH": os.environ.get("PATH", os.defpath), **spec.env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )
        self.pipes = {self.process.stdout: pb.STREAM_STDOUT, self.process.stderr: pb.STREAM_STDERR}
        for pipe in self.pipes:
            fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK)
            self.loop.add_reader(pipe, self.copy, pipe)
        threading.Thread(target=self.reap, daemon=True).start()

    def copy(self, pipe):
        data = pipe.read(256 << 10)
        if data:
            self.output.write(self.pipes[pipe], data)
        elif data is not None:
            self.close(pipe)

    def close(self, pipe):
        self.loop.remove_reader(pipe)
        del self.pipes[pipe]
        pipe.close()
        if not self.pipes and self.process.returncode is not None:
            self.finish()

    def reap(self):
        """Waits for the end, in a thread of its own."""
        self.process.wait()
        self.loop.call_soon_threadsafe(self.exited)

    def exited(self):
        if not self.pipes:
            self.finish()
        else:
            self.loop.call_later(PIPE_SECONDS, self.finish)

    def finish(self):
        """All its output is there, or is not waited for any longer."""
        if self.ended.is_set():
            return
        self.stopped = time.time_ns()
        self.output.end()
        self.ended.set()
        for pipe in list(self.pipes):
            self.close(pipe)

    def signal(self, force):
        if force:
            self.process.kill()
        else:
            self.process.terminate()

    def atom(self):
        request = self.request
        atom = pb.Atom(
            id=self.id, name=request.name, image=request.image, labels=request.spec.labels, rule=request.rule,
            state=pb.STATE_STOPPING if self.stopping else pb.STATE_RUNNING, result=pb.RESULT_UNKNOWN,
            created_at=timestamp(self.created), started_at=timestamp(self.created),
        )
        if self.ended.is_set():
            code = self.process.returncode
            atom.exit_code = code if code >= 0 else 128 - code
            atom.state, atom.result = pb.STATE_STOPPED, result(atom.exit_code)
            atom.stopped_at.CopyFrom(timestamp(self.stopped))
        return atom


def owner_of(request):
    return request.owner or "default"


def result(code):
    return {0: pb.RESULT_SUCCESS, 137: pb.RESULT_KILLED, 143: pb.RESULT_TERMINATED}.get(code, pb.RESULT_FAILURE)


def same(request):
    """What two requests under one key must have in common."""
    own = pb.CreateRequest()
    own.CopyFrom(request)
    for name in ("owner", "key", "rule", "fresh_key", "asked_again"):
        own.ClearField(name)
    return own.SerializeToString(deterministic=True)


def refuse_what_we_lack(request):
    spec, lacks = request.spec, set()
    lacks.update("mount_" + mount.type for mount in spec.mounts)
    if spec.user:
        lacks.add("user")
    lacks.update(name for name in ("cpu", "memory", "gpus") if getattr(spec.resources, name))
    if lacks:
        raise Refused(StatusCode.UNIMPLEMENTED, f"the engine lacks {', '.join(sorted(lacks))}")
    if not spec.entrypoint and not request.command:
        raise Refused(StatusCode.INVALID_ARGUMENT, "is required: there is no image that could name a program", field="command")


def timestamp(nanoseconds):
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def nanoseconds(timestamp):
    return timestamp.seconds * 10**9 + timestamp.nanos


def seconds(duration):
    return duration.seconds + duration.nanos / 1e9
