"""The half of a plugin that is the same for every engine: docs/protocol.md in Python.

serve() does the handshake, AutoMTLS, health, logging and the end. An engine is
a class with a method for each of the service's, in snake_case: coroutines from
request to response; list is an async iterator of responses; logs is a plain
function that finds the atom and returns one. They raise Refused.
"""

import asyncio
import base64
import datetime
import json
import logging
import os
import re
import signal
import sys
import threading

import grpc
from atomrouter.engine.v1 import engine_pb2 as pb
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2, empty_pb2

import host_pb2

COOKIE = "ATOM_ROUTER_PLUGIN"
PROTOCOL = "1"
MAX_MESSAGE = 64 << 20
TYPES = {'"string"': str, '"bool"': bool, '"number"': (int, float)}  # of settings
CLOSE_SECONDS = 0.7  # for an engine to end what it runs

log = logging.getLogger("plugin")


class Refused(Exception):
    """An error of an engine: its class, words for people, and which fields are wrong."""

    def __init__(self, code, message, field=None):
        super().__init__(message if field is None else f"{field}: {message}")
        self.code = code
        self.detail = pb.ErrorDetail()
        if field is not None:
            self.detail.fields.add(field=field, reason=message)


def serve(describe, engine):
    """Serves engine(config) to the host that started this process, and ends with it."""
    name = os.path.basename(sys.argv[0])
    if sys.argv[1:] in (["--version"], ["version"]):
        print(f"{describe.name} {describe.version} (protocol {PROTOCOL}.{describe.protocol_minor})")
        return
    if os.environ.get(COOKIE) != "engine":
        sys.exit(f"{name} is an engine plugin of atom-router and is started by it, not by hand")
    # Whatever prints on stdout later prints into the host's log instead.
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.DEBUG, handlers=[handler], force=True)
    for chatty in ("asyncio", "grpc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # the host may be gone
    asyncio.run(Plugin(describe, engine, stdout).run())


class Lines(logging.Formatter):
    """One line of JSON for a record, as the host's logger reads it."""

    def format(self, record):
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        level = {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower())
        return json.dumps({
            "@level": level, "@message": text, "@timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), **getattr(record, "fields", {}),
        })


class Plugin:
    """A plugin's process."""

    def __init__(self, describe, make, stdout):
        self.describe = describe
        self.make = make
        self.stdout = stdout
        self.engine = None

    async def run(self):
        self.over = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            # They reach whole process groups and are the host's to act on.
            # Handled and not ignored, they are the default for our children.
            loop.add_signal_handler(number, lambda: None)
        threading.Thread(target=self.await_host, args=(loop,), daemon=True).start()
        server = grpc.aio.server(options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
            # The host pings every ten seconds, also where no call is under
            # way; left to itself, gRPC would hang up on it for that.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_ping_strikes", 0),
        ])
        server.add_generic_rpc_handlers((self.engine_handlers(), *self.host_handlers()))
        path = os.path.join(os.environ.get("PLUGIN_UNIX_SOCKET_DIR", "/tmp"), f"plugin{os.getpid()}")
        address, certificate = "unix:" + path, ""
        if client := os.environ.get("PLUGIN_CLIENT_CERT"):
            key, cert = identity()
            pem = cert.public_bytes(serialization.Encoding.PEM)
            server.add_secure_port(address, grpc.ssl_server_credentials([(key, pem)], client.encode(), require_client_auth=True))
            der = cert.public_bytes(serialization.Encoding.DER)
            certificate = base64.b64encode(der).decode().rstrip("=")
        else:
            server.add_insecure_port(address)
        await server.start()
        log.debug("serving", extra={"fields": {"socket": path}})
        print(f"1|{PROTOCOL}|unix|{path}|grpc|{certificate}", file=self.stdout, flush=True)
        await self.over.wait()
        threading.Timer(CLOSE_SECONDS, end_group).start()
        if self.engine:
            await self.engine.close()
        await server.stop(0.1)
        end_group()

    def await_host(self, loop):
        """Reads stdin, whose other end is the host's alone, to its end."""
        while os.read(0, 4096):
            pass
        threading.Timer(CLOSE_SECONDS, end_group).start()  # should the loop hang
        loop.call_soon_threadsafe(self.over.set)

    def host_handlers(self):
        async def check(request, context):
            if request.service not in ("", "plugin"):
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
            return host_pb2.HealthCheckResponse(status=1)

        async def shutdown(request, context):
            self.over.set()
            return empty_pb2.Empty()

        yield grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
            "Check": handler(check, host_pb2.HealthCheckRequest),
        })
        yield grpc.method_handlers_generic_handler("plugin.GRPCController", {
            "Shutdown": handler(shutdown, empty_pb2.Empty),
        })

    def engine_handlers(self):
        """A handler for every method of the published service that the engine has.

        gRPC answers UNIMPLEMENTED to others, and hosts do without them.
        """
        service = pb.DESCRIPTOR.services_by_name["Engine"]
        methods = {}
        for method in service.methods:
            proto = descriptor_pb2.MethodDescriptorProto()
            method.CopyToProto(proto)
            name = re.sub(r"(?<!^)([A-Z])", r"_\1", method.name).lower()
            if name in ("describe", "configure") or hasattr(self.make, name):
                wrap = self.streaming if proto.server_streaming else self.unary
                methods[method.name] = handler(wrap(name), getattr(pb, method.input_type.name), proto.server_streaming)
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def unary(self, name):
        async def call(request, context):
            try:
                if name == "describe":
                    return self.describe
                if name == "configure":
                    return self.configure(request)
                return await getattr(self.configured(), name)(request)
            except Exception as error:
                await fail(context, name, error)
        return call

    def streaming(self, name):
        async def call(request, context):
            try:
                responses = getattr(self.configured(), name)(request)
                # Headers say that the atom was found, perhaps long before
                # there is a first response.
                await context.send_initial_metadata(())
                async for response in responses:
                    yield response
            except Exception as error:
                await fail(context, name, error)
        return call

    def configured(self):
        if self.engine is None:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "the plugin is not configured yet")
        return self.engine

    def configure(self, request):
        if self.engine is not None:
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "the plugin is configured already")
        os.environ.update(request.environment)
        config = json.loads(request.config or b"{}")
        known = {attribute.name: attribute.type for attribute in self.describe.schema.attributes}
        for name, value in config.items():
            if name not in known:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "there is no such setting", field=name)
            if not isinstance(value, TYPES[known[name]]):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"must be a {json.loads(known[name])}", field=name)
        self.engine = self.make(config)
        return pb.ConfigureResponse()


def handler(function, request, streaming=False):
    make = grpc.unary_stream_rpc_method_handler if streaming else grpc.unary_unary_rpc_method_handler
    return make(function, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString())


async def fail(context, method, error):
    """Ends a call with a status that bears an ErrorDetail, as every engine's does."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, Refused):
        log.error("a bug in %s", method, exc_info=error)
        error = Refused(grpc.StatusCode.INTERNAL, f"a bug in {method}: {error!r}")
    code, _ = error.code.value
    status = host_pb2.Status(code=code, message=str(error))
    status.details.add().Pack(error.detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(error.code, str(error))


def identity():
    """A key of our own, and a certificate of it for "localhost" that nobody else signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, cert


def end_group():
    """Ends this process, and what it started with it: the group is ours alone."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
