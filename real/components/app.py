"""Answers with the requests that this instance has had, and with what the request said."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)
from wit_world.imports.streams import StreamError_Closed

# Each request has a fresh instance: it is 1 for all of them.
requests = 0


def read(request):
    parts = []
    with request.consume() as body, body.stream() as stream:
        while True:
            try:
                parts.append(stream.blocking_read(1 << 16))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return b"".join(parts).decode()
                raise


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        global requests
        requests += 1
        said = read(request)
        response = OutgoingResponse(Fields.from_list([]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        text = f"{requests} {request.path_with_query()} {len(said.split())} {len(said)}\n"
        with body.write() as stream:
            stream.blocking_write_and_flush(text.encode())
        OutgoingBody.finish(body, None)
