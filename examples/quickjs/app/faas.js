// Requests of a program that is captured where it waits for them: a line of JSON on standard input, and one out.

import * as std from "qjs:std";

/** Answers each request with what `handler` returns for its value. */
export function serve(handler) {
  for (let line = std.in.getline(); line !== null; line = std.in.getline()) {
    let result;
    try {
      result = handler(JSON.parse(line).value);
    } catch (error) {
      result = { error: String(error) };
    }
    // The answer is complete with the end of its line.
    std.out.puts(JSON.stringify(result) + "\n");
    std.out.flush();
  }
}
