// Answers with the requests that this instance has had, and with what the request said.

import {
  Fields,
  OutgoingBody,
  OutgoingResponse,
  ResponseOutparam,
} from "wasi:http/types@0.2.12";

// Each request has a fresh instance: it is 1 for all of them.
let requests = 0;

function read(request) {
  const body = request.consume();
  const stream = body.stream();
  let text = "";
  try {
    for (;;) {
      const bytes = stream.blockingRead(1n << 16n);
      text += new TextDecoder().decode(bytes);
    }
  } catch (error) {
    if (error.payload?.tag !== "closed") throw error;
  }
  return text;
}

export const incomingHandler = {
  handle(request, outparam) {
    requests += 1;
    const said = read(request);
    const response = new OutgoingResponse(new Fields());
    const body = response.body();
    ResponseOutparam.set(outparam, { tag: "ok", val: response });
    const stream = body.write();
    const words = said.split(" ").filter((word) => word).length;
    const text = `${requests} ${request.pathWithQuery()} ${words} ${said.length}\n`;
    stream.blockingWriteAndFlush(new TextEncoder().encode(text));
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
