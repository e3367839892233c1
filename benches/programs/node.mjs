// Runs a program in V8, with Node's WASI.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [, , file, ...rest] = process.argv;
const wasi = new WASI({ version: "preview1", args: [file, ...rest], returnOnExit: true });
const module = await WebAssembly.compile(readFileSync(file));
wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
