// Answers each request with the same line: node real/components/make.mjs (see there) makes a component of it.

import {
  Fields,
  OutgoingBody,
  OutgoingResponse,
  ResponseOutparam,
} from "wasi:http/types@0.2.12";

export const incomingHandler = {
  handle(_, outparam) {
    const response = new OutgoingResponse(new Fields());
    const body = response.body();
    ResponseOutparam.set(outparam, { tag: "ok", val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(new TextEncoder().encode("hello, world from Awesome FaaS App!\n"));
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
